//! Buckets of others, each reached in its own way.

use std::sync::Arc;

use bytes::Bytes;

use super::{BucketAccesses, Sources};
use crate::clock::SystemClock;
use crate::fetch::FetchPolicy;
use crate::fetch::testing::{Answer, ScriptedServer};

#[tokio::test]
async fn regression_43_a_private_bucket_of_another_region_is_asked_in_its_region_by_its_own_credentials()
 {
    let server = ScriptedServer::start(|request| {
        Answer::file(request, &Bytes::from_static(b"{}"), "\"tag\"")
    });
    let server = server.await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut accesses = BucketAccesses::default();
    for (bucket, region) in [("near", "eu-central-1"), ("far", "us-west-2")] {
        let file = folder.path().join(bucket);
        let text = format!("access_key_id=key-of-{bucket}\nsecret_access_key=canary\n");
        std::fs::write(&file, text).unwrap();
        let (file, endpoint) = (file.display(), server.url(""));
        let access = format!("{bucket}=region:{region},endpoint:{endpoint},credentials:{file}");
        accesses.add(&access).unwrap();
    }
    let access = format!(
        "public=unsigned,region:ap-south-1,endpoint:{}",
        server.url("")
    );
    accesses.add(&access).unwrap();
    let sources = Sources::new(accesses, FetchPolicy::default(), Arc::new(SystemClock)).unwrap();
    for bucket in ["near", "far", "public"] {
        let read = sources.read(&format!("s3://{bucket}/a/b.json"), 100).await;
        assert_eq!(read.unwrap(), "{}", "{bucket}");
    }
    let seen = server.seen();
    let said = |path: &str| {
        let mut met = seen.iter().filter(|request| request.path == path);
        met.next()
            .unwrap()
            .header("authorization")
            .map(str::to_owned)
    };
    for (bucket, region) in [("near", "eu-central-1"), ("far", "us-west-2")] {
        let said = said(&format!("/{bucket}/a/b.json")).unwrap();
        assert!(
            said.contains(&format!("Credential=key-of-{bucket}/")),
            "{said}"
        );
        assert!(
            said.contains(&format!("/{region}/s3/aws4_request")),
            "{said}"
        );
        assert!(!said.contains("canary"), "the secret stays here");
    }
    assert_eq!(
        said("/public/a/b.json"),
        None,
        "who is unknown signs nothing"
    );
}
