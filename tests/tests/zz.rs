use chitchat_tests::sim::*; use std::time::Duration;
#[test] fn zz() {
    let mut sim = Sim::cluster(0, 4);
    sim.run_rounds(20);
    for host in 1..4 { sim.set_seeds(host, (1..4).map(Sim::addr_of).collect()); }
    for host in 1..4 {
        let others: Vec<HostId> = (0..4).filter(|other| *other != host).collect();
        sim.links.partition(&[host], &others);
        sim.run_for(Duration::from_secs(7));
    }
    sim.kill(0);
    for _ in 0..6 { sim.run_for(Duration::from_secs(10)); println!("{}", sim.describe()); 
      for h in 1..4 { println!("{:?} {:?}", sim.host(h).running().node_health("node-0", sim.now()), sim.host(h).running().poll_timeout()); } }
    for h in 1..4 { println!("{:?}", sim.host(h).events.iter().map(|e| format!("{} {:?}", e.0, e.1).chars().take(60).collect::<String>()).collect::<Vec<_>>()); println!("{:?}", sim.host(h).notices); }
}
