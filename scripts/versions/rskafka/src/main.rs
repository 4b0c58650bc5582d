//! rskafka: what a program does with it.
//!
//! usage: kring-rskafka VERSION SERVER ADDRESS

use std::{collections::BTreeMap, error::Error, future::Future, sync::LazyLock, time::{Duration, UNIX_EPOCH}};

use chrono::{DateTime, Utc};
use rskafka::{
    client::{
        Client, ClientBuilder,
        partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};

type Outcome = Result<(), Box<dyn Error>>;

/// How long a part may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time of the first record: young enough to be kept, and not that of the broker's clock.
static FIRST: LazyLock<i64> = LazyLock::new(|| UNIX_EPOCH.elapsed().expect("a clock").as_millis() as i64 - 3_600_000);

struct Run {
    version: String,
    server: String,
    client: Client,
}

impl Run {
    fn line(&self, part: &str, how: &str) {
        let how = how.split_whitespace().collect::<Vec<_>>().join(" ");
        println!("result\trskafka\t{}\t{}\t{part}\t{how}", self.version, self.server);
    }

    async fn part(&self, name: &str, body: impl Future<Output = Outcome>) {
        match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(())) => self.line(name, "ok"),
            Ok(Err(e)) => self.line(name, &format!("FAIL {e}")),
            Err(_) => self.line(name, "FAIL not done within a minute"),
        }
    }

    /// A topic's name, which no other version uses.
    fn topic(&self, name: &str) -> String {
        format!("rskafka..{}..{name}", self.version)
    }

    async fn create(&self, topic: &str, partitions: i32) -> Outcome {
        self.client.controller_client()?.create_topic(topic, partitions, 1, 20_000).await?;
        self.listed(topic, partitions as usize).await
    }

    /// Waits until a topic has so many partitions: some answers are right only after a moment.
    async fn listed(&self, topic: &str, partitions: usize) -> Outcome {
        loop {
            let topics = self.client.list_topics().await?;
            if topics.iter().find(|t| t.name == topic).map_or(0, |t| t.partitions.len()) == partitions {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn partition(&self, topic: &str) -> Result<PartitionClient, Box<dyn Error>> {
        Ok(self.client.partition_client(topic, 0, UnknownTopicHandling::Retry).await?)
    }

    async fn admin(&self) -> Outcome {
        let topic = self.topic("admin");
        self.create(&topic, 2).await?;
        let partition = self.partition(&topic).await?;
        partition.produce((0..10).map(record).collect(), Compression::NoCompression).await?;
        partition.delete_records(4, 20_000).await?;
        same("the earliest offset", 4, partition.get_offset(OffsetAt::Earliest).await?)?;
        same("the latest offset", 10, partition.get_offset(OffsetAt::Latest).await?)?;
        same("the offset of a time", 7, partition.get_offset(OffsetAt::Timestamp(record(7).timestamp)).await?)?;
        self.client.controller_client()?.delete_topic(&topic, 20_000).await?;
        self.listed(&topic, 0).await
    }

    async fn codecs(&self) -> Outcome {
        for (name, codec) in [
            ("none", Compression::NoCompression),
            ("gzip", Compression::Gzip),
            ("snappy", Compression::Snappy),
            ("lz4", Compression::Lz4),
            ("zstd", Compression::Zstd),
        ] {
            let topic = self.topic(&format!("codec-{name}"));
            self.create(&topic, 1).await?;
            let partition = self.partition(&topic).await?;
            let offsets = partition.produce((0..200).map(record).collect(), codec).await?;
            same("offsets of what was sent", 200, offsets.len())?;
            let mut got = Vec::new();
            while got.len() < 200 {
                let (records, _) = partition.fetch_records(got.len() as i64, 1..1_000_000, 1_000).await?;
                got.extend(records.into_iter().map(|r| r.record));
            }
            if got != (0..200).map(record).collect::<Vec<_>>() {
                return Err(format!("{name}: what came back is not what was sent").into());
            }
        }
        Ok(())
    }
}

/// The i-th record; some have no key, and the value is worth compressing.
fn record(i: i64) -> Record {
    Record {
        key: (i % 5 != 0).then(|| format!("key-{i}").into_bytes()),
        value: Some(format!("{i} {}", "kring ".repeat(10 + i as usize % 50)).into_bytes()),
        headers: BTreeMap::from([("n".to_owned(), i.to_string().into_bytes())]),
        timestamp: DateTime::<Utc>::from_timestamp_millis(*FIRST + i).expect("a time"),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, want: T, got: T) -> Outcome {
    if want == got { Ok(()) } else { Err(format!("{what}: want {want:?}, got {got:?}").into()) }
}

#[tokio::main]
async fn main() -> Outcome {
    let [version, server, addr]: [String; 3] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: kring-rskafka VERSION SERVER ADDRESS")?;
    let client = tokio::time::timeout(PATIENCE, ClientBuilder::new(vec![addr]).client_id(format!("kring-rskafka-{version}")).build()).await??;
    let run = Run { version, server, client };
    run.part("admin", run.admin()).await;
    run.part("codecs", run.codecs()).await;
    run.line("done", "ok");
    Ok(())
}
