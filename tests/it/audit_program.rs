//! `reserveflow audit` as an operator runs it: what it prints, how it ends, and that it leaves everything as it was.

use crate::db_audit::{Kept, corruptions, kept};
use crate::support::binary::{Finished, finish, reserveflow};
use crate::support::postgres::{database, url_of};

async fn run_audit(url: &str) -> Finished {
    let mut command = reserveflow();
    command.args(["audit", "--database-url", url]);
    tokio::task::spawn_blocking(move || finish(&mut command))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_adds_up_ends_well_and_each_difference_is_printed_and_left_alone() {
    let clean = database().await;
    kept(&clean).await;
    let finished = run_audit(&url_of(&clean).await).await;
    assert!(finished.status.success(), "{}", finished.printed);
    assert_eq!(finished.printed, "everything adds up\n");

    let count = corruptions(&Kept::default()).len();
    for number in 0..count {
        let pool = database().await;
        let planted = kept(&pool).await;
        let (corrupt, named) = corruptions(&planted).swap_remove(number);
        let client = pool.get().await.unwrap();
        client.batch_execute(&corrupt).await.unwrap();
        let url = url_of(&pool).await;
        // Twice: nothing was repaired.
        for _ in 0..2 {
            let finished = run_audit(&url).await;
            assert_eq!(finished.status.code(), Some(1), "{corrupt}");
            let printed = finished.printed.replace(&planted.code, "CODE");
            let lines: Vec<&str> = printed.lines().collect();
            let (last, told) = lines.split_last().unwrap();
            assert_eq!(told, named, "{corrupt}");
            assert_eq!(
                *last,
                format!("{} differences; nothing was changed", named.len())
            );
        }
    }
}
