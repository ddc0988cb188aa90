//! Names in URIs, and their templates.

use chitchat_tls::{SanError, SanTemplate, TemplateError, node_san};
use proptest::prelude::*;

fn template(text: &str) -> SanTemplate {
    text.parse().unwrap()
}

fn names(text: &str, san: &str) -> Result<(Option<String>, String), SanError> {
    template(text).parse_san(san).map(|names| (names.cluster_id, names.node_id))
}

const OURS: &str = "chitchat://{cluster_id}/{node_id}";
const SPIFFE: &str = "spiffe://example.org/cluster/{cluster_id}/node/{node_id}";
const FIXED: &str = "spiffe://example.org/blue/{node_id}";

#[test]
fn the_default_is_what_it_says() {
    assert_eq!(SanTemplate::default(), template(chitchat_tls::DEFAULT_SAN_TEMPLATE));
    assert_eq!(SanTemplate::default().to_string(), OURS);
    assert_eq!(node_san("c", "n"), "chitchat://c/n");
    assert_eq!(node_san("a b", "ü/%"), "chitchat://a%20b/%C3%BC%2F%25");
    assert_eq!(node_san(".", ".."), "chitchat://%2E/%2E%2E");
}

#[test]
fn ids_are_decoded_once() {
    let ok = |cluster: &str, node: &str| Ok((Some(cluster.to_owned()), node.to_owned()));
    assert_eq!(names(OURS, "chitchat://c/n"), ok("c", "n"));
    assert_eq!(names(OURS, "chitchat://c/a%2Fb"), ok("c", "a/b"));
    assert_eq!(names(OURS, "chitchat://c/a%252Fb"), ok("c", "a%2Fb"));
    assert_eq!(names(OURS, "chitchat://c/%c3%bc"), ok("c", "ü"));
    assert_eq!(names(OURS, "chitchat://%63/%6E"), ok("c", "n"), "encoded needlessly");
    assert_eq!(names(OURS, "chitchat://c/%2E%2E"), ok("c", ".."));
    assert_eq!(names(OURS, "chitchat://c/a:b@c!$&'()*+,;="), ok("c", "a:b@c!$&'()*+,;="));
    assert_eq!(names(SPIFFE, "spiffe://example.org/cluster/c/node/n"), ok("c", "n"));
    assert_eq!(names(FIXED, "spiffe://example.org/blue/n"), Ok((None, "n".to_owned())));
}

#[test]
fn scheme_and_trust_domain_have_no_case_and_all_else_has() {
    assert_eq!(names(OURS, "ChitChat://C/N"), Ok((Some("C".to_owned()), "N".to_owned())));
    assert!(names(SPIFFE, "SPIFFE://EXAMPLE.org/cluster/c/node/n").is_ok());
    assert!(names("SPIFFE://EXAMPLE.org/{node_id}", "spiffe://example.ORG/n").is_ok());
    assert!(names(SPIFFE, "spiffe://example%2Eorg/cluster/c/node/n").is_ok(), "the same URI");
    assert_eq!(names(SPIFFE, "spiffe://example.org/Cluster/c/node/n"), Err(SanError::OtherForm));
}

#[test]
fn malformed_names_are_told_apart() {
    use SanError::*;
    let cases = [
        ("", NotAUri),
        ("chitchat", NotAUri),
        ("chitchat:c/n", NotAUri),
        ("chitchat:/c/n", NotAUri),
        ("://c/n", NotAUri),
        ("1x://c/n", NotAUri),
        ("chit chat://c/n", NotAUri),
        ("http://c/n", OtherForm),
        ("chitchat://c", OtherForm),
        ("chitchat://c/n/x", OtherForm),
        ("chitchat://", EmptyPart),
        ("chitchat:///n", EmptyPart),
        ("chitchat://c/", EmptyPart),
        ("chitchat://c//n", EmptyPart),
        ("chitchat://c/n/", OtherForm),
        ("chitchat://c/.", DotSegment),
        ("chitchat://../n", DotSegment),
        ("chitchat://c/n?", QueryOrFragment),
        ("chitchat://c/n?x=y", QueryOrFragment),
        ("chitchat://c/n#", QueryOrFragment),
        ("chitchat://c#/n", QueryOrFragment),
        ("chitchat://me@c/n", UserOrPort),
        ("chitchat://c:7280/n", UserOrPort),
        ("chitchat://[::1]/n", NotEncoded),
        ("chitchat://c/a b", NotEncoded),
        ("chitchat://c/ü", NotEncoded),
        ("chitchat://c/n\n", NotEncoded),
        ("chitchat://c/a\\b", NotEncoded),
        ("chitchat://c/%", BadPercent),
        ("chitchat://c/%2", BadPercent),
        ("chitchat://c/%2x", BadPercent),
        ("chitchat://c/%+2", BadPercent),
        ("chitchat://c/%FF", NotUtf8),
        ("chitchat://%C3/n", NotUtf8),
    ];
    for (san, error) in cases {
        assert_eq!(names(OURS, san), Err(error), "{san}");
    }
    let id = |len| format!("chitchat://c/{}", "x".repeat(len));
    assert!(names(OURS, &id(255)).is_ok());
    assert_eq!(names(OURS, &id(256)), Err(IdTooLong));
    assert_eq!(names(OURS, &id(5000)), Err(TooLong));
    let encoded = format!("chitchat://{0}/{0}", "%C3%BC".repeat(127));
    assert!(names(OURS, &encoded).is_ok());
}

#[test]
fn templates_that_cannot_work_are_refused() {
    let error = |text: &str| text.parse::<SanTemplate>().unwrap_err();
    for text in ["", "x", "chitchat:{cluster_id}", "{node_id}://c", "a b://{node_id}"] {
        assert!(matches!(error(text), TemplateError::NotAUri { .. }), "{text}");
    }
    for text in ["chitchat://c", "chitchat://{cluster_id}", "spiffe://td/x/y"] {
        assert!(matches!(error(text), TemplateError::NoNodeId { .. }), "{text}");
    }
    for text in ["a://{node_id}/{node_id}", "a://{cluster_id}/{cluster_id}/{node_id}"] {
        assert!(matches!(error(text), TemplateError::Repeated { .. }), "{text}");
    }
    for text in ["a://c/n-{node_id}", "a://c/{node}", "a://c/{node_id", "a://{node_id}{cluster_id}"]
    {
        assert!(matches!(error(text), TemplateError::BadPlace { .. }), "{text}");
    }
    for (text, why) in [
        ("a:///{node_id}", SanError::EmptyPart),
        ("a://c//{node_id}", SanError::EmptyPart),
        ("a://c/{node_id}/", SanError::EmptyPart),
        ("a://c:1/{node_id}", SanError::UserOrPort),
        ("a://c/../{node_id}", SanError::DotSegment),
        ("a://c/x?y/{node_id}", SanError::QueryOrFragment),
        ("a://c/x y/{node_id}", SanError::NotEncoded),
        ("a://c/%/{node_id}", SanError::BadPercent),
    ] {
        assert!(
            matches!(error(text), TemplateError::BadPart { source, .. } if source == why),
            "{text}"
        );
    }
    let text = error("a://c/n-{node_id}").to_string();
    assert!(text.contains("{node_id}") && text.contains("n-{node_id}"), "{text}");
}

fn id() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 1..64).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn every_id_comes_back(cluster in id(), node in id()) {
        prop_assume!(cluster.len() <= 255 && node.len() <= 255);
        for text in [OURS, SPIFFE] {
            let san = template(text).node_san(&cluster, &node);
            prop_assert!(san.is_ascii());
            let back = names(text, &san);
            prop_assert_eq!(back, Ok((Some(cluster.clone()), node.clone())));
        }
        let san = template(FIXED).node_san(&cluster, &node);
        prop_assert_eq!(names(FIXED, &san), Ok((None, node)));
    }

    #[test]
    fn no_text_panics_and_what_parses_is_unambiguous(text in ".*", tail in "[ -~]{0,40}") {
        for san in [text, format!("chitchat://{tail}")] {
            if let Ok((Some(cluster), node)) = names(OURS, &san) {
                // The canonical form names the same node.
                let canonical = template(OURS).node_san(&cluster, &node);
                prop_assert_eq!(names(OURS, &canonical), Ok((Some(cluster), node)));
            }
            let _ = san.parse::<SanTemplate>();
        }
    }
}
