//! `swath info`, `stats` and `lock`: what a lake is, and who is at it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_core::TableName;
use swath_lake::pointer::SqlitePointer;
use swath_lake::{Fault, Held, Lake, LakeError, Lock, Part};
use swath_maintain::index_figures;

use super::arguments::{LockArgs, LockStep, ShowArgs, StatsArgs};
use super::{failed, merge, now, open, place, tell};
use crate::exit::Exit;
use crate::run::CommandError;

/// Says what a lake is and what is wrong with it; ends with [`Exit::Partial`] when something is.
pub(super) async fn info(arguments: &ShowArgs) -> Result<Exit, CommandError> {
    let lake = open(&arguments.at)?;
    let found = lake.examine().await.map_err(failed(&arguments.at))?;
    let (_, root) = place(&arguments.at)?;
    let mut faults = found.faults;
    if let Some(root) = root {
        let database = SqlitePointer::new(root.join("earthcatalog.db"));
        let lacks = database.lacks_type().await;
        let lacks = lacks.map_err(LakeError::from_pointer(TableName::StacItems));
        if lacks.map_err(failed(&arguments.at))? {
            faults.push(Fault::NoTypeColumn);
        }
    }
    let sum = |of: fn(&Part) -> u64| found.parts.iter().map(of).sum::<u64>();
    let line = json!({
        "lake": lake.place().base(), "grid": found.grid, "items": found.items,
        "rows": sum(|part| part.rows), "files": sum(|part| part.files),
        "size_bytes": sum(|part| part.size_bytes), "parts": found.parts.len(),
        "faults": faults.len(),
    });
    tell(&line, arguments.json);
    let is_elsewhere = |fault: &Fault| matches!(fault, Fault::MetadataElsewhere { .. });
    let elsewhere = faults.iter().any(is_elsewhere);
    for table in TableName::ALL {
        if elsewhere && table == TableName::StacItems {
            continue;
        }
        if let Some(line) = table_line(&lake, table)
            .await
            .map_err(failed(&arguments.at))?
        {
            tell(&line, arguments.json);
        }
    }
    for fault in &faults {
        tell(&json!(fault), arguments.json);
    }
    Ok(if faults.is_empty() {
        Exit::Done
    } else {
        Exit::Partial
    })
}

async fn table_line(lake: &Lake, table: TableName) -> Result<Option<Value>, LakeError> {
    match lake.counts(table).await {
        Ok(counts) => Ok(Some(json!({
            "table": table.to_string(), "rows": counts.rows, "files": counts.files,
            "snapshot_id": counts.snapshot_id.map(|id| id.to_string()),
            "metadata": counts.metadata_location,
        }))),
        // A catalog of others has only the one table.
        Err(LakeError::NoTable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Counts by cell and year.
pub(super) async fn stats(arguments: &StatsArgs) -> Result<(), CommandError> {
    let lake = open(&arguments.at)?;
    let failed = failed(&arguments.at);
    let parts = lake.parts().await.map_err(&failed)?;
    match arguments.top {
        Some(top) => top_cells(&parts, top)
            .iter()
            .for_each(|line| tell(line, arguments.json)),
        None => parts
            .iter()
            .for_each(|part| tell(&json!(part), arguments.json)),
    }
    let indexed = lake.index().await.map_err(&failed)?;
    let hashes = lake.hash_index().await.map_err(&failed)?;
    let age = |written: Option<i64>| {
        written.map(|written| (SystemClock.now().unix_timestamp() - written).max(0))
    };
    let items = lake.distinct_items().await.map_err(&failed)?;
    let sum = |of: fn(&Part) -> u64| parts.iter().map(of).sum::<u64>();
    let mut line = json!({
        "items": items, "rows": sum(|part| part.rows), "files": sum(|part| part.files),
        "size_bytes": sum(|part| part.size_bytes), "parts": parts.len(),
        "index_age_s": age(indexed.written),
        "hash_index_age_s": age(hashes.and_then(|hashes| hashes.written)),
    });
    merge(&mut line, index_figures(&indexed));
    tell(&line, arguments.json);
    Ok(())
}

/// Returns the cells with the most rows, the fullest first.
fn top_cells(parts: &[Part], top: usize) -> Vec<Value> {
    let mut cells: BTreeMap<Option<&str>, [u64; 3]> = BTreeMap::new();
    for part in parts {
        let sums = cells.entry(part.cell.as_deref()).or_default();
        let figures = [part.rows, part.files, part.size_bytes];
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure;
        }
    }
    let mut cells: Vec<_> = cells.into_iter().collect();
    cells.sort_by_key(|(cell, [rows, ..])| (std::cmp::Reverse(*rows), *cell));
    let lines = cells.into_iter().take(top);
    let lines = lines.map(|(cell, [rows, files, size_bytes])| {
        json!({"cell": cell, "rows": rows, "files": files, "size_bytes": size_bytes})
    });
    lines.collect()
}

/// Shows or breaks the lock.
pub(super) async fn lock(arguments: &LockArgs) -> Result<(), CommandError> {
    let (place, _) = place(&arguments.at)?;
    let lock = Lock::new(place, now());
    let found = match arguments.what {
        LockStep::Show => lock.show().await,
        LockStep::Break => lock.break_it().await,
    };
    let found = found.map_err(|error| CommandError::Lock(Box::new(error)))?;
    tell(&line(arguments.what, found.as_ref()), arguments.json);
    Ok(())
}

fn line(what: LockStep, held: Option<&Held>) -> Value {
    let Some(Held { holder, is_over }) = held else {
        return json!({"lock": "free"});
    };
    let state = match (what, is_over) {
        (LockStep::Break, _) => "broken",
        (LockStep::Show, true) => "over",
        (LockStep::Show, false) => "held",
    };
    json!({
        "lock": state, "owner": holder.owner, "hostname": holder.hostname, "pid": holder.pid,
        "acquired": holder.acquired, "ttl_hours": holder.ttl_hours,
    })
}
