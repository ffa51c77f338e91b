use super::*;

async fn with_commits(count: u32) -> (World, Lake) {
    let world = World::new();
    let lake = world.lake().await;
    for number in 0..count {
        let file = world
            .write(CELL, &[item(&format!("i{number:03}"), None)])
            .await;
        commit(&lake, &[&file]).await;
    }
    (world, lake)
}

#[tokio::test]
async fn expiry_keeps_the_newest_the_young_and_the_named() {
    let (world, lake) = with_commits(6).await;
    let pace = Tries::new(3);
    let all = lake.snapshots(ITEMS).await.unwrap();
    assert_eq!(all.len(), 6);
    lake.tag(ITEMS, "first", Some(all[0].snapshot_id), &pace)
        .await
        .unwrap();
    let day = Duration::from_hours(24);
    let young = lake.expire(ITEMS, (1, day), false, &pace).await.unwrap();
    assert_eq!((young.snapshots.len(), young.kept), (0, 6));
    // Snapshots of one clock reading are all as old as an instant later.
    let keep = (2, Duration::ZERO);
    let later = Later;
    let dry = lake.expire(ITEMS, keep, true, &later).await.unwrap();
    assert_eq!(lake.snapshots(ITEMS).await.unwrap().len(), 6);
    let done = lake.expire(ITEMS, keep, false, &later).await.unwrap();
    assert_eq!((&done, done.snapshots.len(), done.kept), (&dry, 3, 3));
    let left = world.lake().await.snapshots(ITEMS).await.unwrap();
    let expected = [&all[0], &all[4], &all[5]].map(|snapshot| snapshot.snapshot_id);
    assert_eq!(
        left.iter().map(|s| s.snapshot_id).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(left[0].names, ["first"]);
    assert_eq!(ids(&lake).await.len(), 6);
    check(&lake, ITEMS).await;
}

#[tokio::test]
async fn a_rollback_leads_back_and_what_follows_builds_on_it() {
    let (world, lake) = with_commits(3).await;
    let all = lake.snapshots(ITEMS).await.unwrap();
    let pace = Tries::new(3);
    assert!(lake.rollback(ITEMS, 1, &pace).await.is_err());
    world.pointer.meet([Fault::LostReply]);
    lake.rollback(ITEMS, all[0].snapshot_id, &pace)
        .await
        .unwrap();
    assert_eq!(ids(&lake).await, ["i000"]);
    let file = world.write(CELL, &[item("new", None)]).await;
    commit(&lake, &[&file]).await;
    assert_eq!(ids(&world.lake().await).await, ["i000", "new"]);
}

#[tokio::test]
async fn manifests_written_anew_list_the_same_files() {
    let (world, lake) = with_commits(5).await;
    let before = rows(&lake).await;
    let done = lake.rewrite_manifests(ITEMS, false, &Tries::new(1)).await;
    assert_eq!(done.unwrap(), (5, 1));
    let again = lake.rewrite_manifests(ITEMS, false, &Tries::new(1)).await;
    assert_eq!(again.unwrap(), (1, 1));
    let lake = world.lake().await;
    assert_eq!(rows(&lake).await, before);
    check(&lake, ITEMS).await;
    assert_eq!(lake.snapshots(ITEMS).await.unwrap().len(), 6);
    let refused = lake.tag(ITEMS, "main", None, &Tries::new(1)).await;
    assert!(matches!(refused, Err(LakeError::Name { .. })));
}

/// Long after all commits.
#[derive(Debug)]
struct Later;

#[async_trait]
impl Pace for Later {
    fn now(&self) -> OffsetDateTime {
        datetime!(2100-01-01 00:00 UTC)
    }

    async fn again(&self, attempts: u32) -> bool {
        attempts < 3
    }
}
