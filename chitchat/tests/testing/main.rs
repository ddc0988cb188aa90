//! The cluster for tests of applications, tested.
#![cfg(feature = "testing")]

mod determinism;
mod life;
mod mistakes;
mod network;
mod seeds;
mod tasks;
