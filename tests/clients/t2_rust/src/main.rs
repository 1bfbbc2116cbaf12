//! The original client of the T2 Bus against a server that is named by its addresses.
//!
//!     t2_checks checks TCP UNIX      prints `ok NAME` or `not ok NAME reason` for each check
//!     t2_checks flow UNIX PAIRS MESSAGES BYTES WINDOW
//!                                    publishers and subscribers in pairs; prints messages/s
//!     t2_checks memory MESSAGES BYTES WINDOW
//!                                    a pair within the process, by the original's memory transport
//!     t2_checks serve UNIX           the original server

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use t2_bus::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[derive(Clone, Deserialize, Serialize, PartialEq, Debug)]
struct Said(String);

impl PublishProtocol for Said {
    fn prefix() -> &'static str {
        "test"
    }
}

#[derive(Clone, Deserialize, Serialize, PartialEq, Debug)]
struct Asked(String);

impl RequestProtocol for Asked {
    type Rsp = Said;
    fn prefix() -> &'static str {
        "test"
    }
}

type Outcome = Result<(), String>;

const PATIENCE: Duration = Duration::from_secs(60);

fn wrong(text: impl ToString) -> String {
    text.to_string()
}

struct World {
    tcp: String,
    unix: PathBuf,
}

impl World {
    async fn tcp(&self) -> Result<Client, String> {
        Connector::new_tcp(self.tcp.clone()).connect().await.map_err(wrong)
    }

    async fn unix(&self) -> Result<Client, String> {
        Connector::new_unix(self.unix.clone()).connect().await.map_err(wrong)
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(got: T, wanted: T) -> Outcome {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("{got:?} instead of {wanted:?}"))
    }
}

async fn hears(subscription: &mut Subscription<(String, Said)>, topic: &str, text: &str) -> Outcome {
    let (heard, said) = subscription.recv().await.ok_or("the subscription ended")?;
    expect(heard.as_str(), topic)?;
    expect(said.0.as_str(), text)
}

// --- The scenarios of the crate's own tests ----------------------------------------------------

async fn pub_sub(a: Client, b: Client) -> Outcome {
    let mut heard = a.subscribe::<Said>("a/b/c").await.map_err(wrong)?;
    expect(b.publish("a/b/c", &Said("d".into())).await.map_err(wrong)?, 1)?;
    hears(&mut heard, "test/a/b/c", "d").await
}

async fn tcp(w: &World) -> Outcome {
    pub_sub(w.tcp().await?, w.tcp().await?).await
}

async fn unix(w: &World) -> Outcome {
    pub_sub(w.unix().await?, w.unix().await?).await
}

async fn mixed(w: &World) -> Outcome {
    let (a, b) = (w.tcp().await?, w.unix().await?);
    let mut first = a.subscribe::<Said>("mixed/*").await.map_err(wrong)?;
    let mut second = b.subscribe::<Said>("mixed/**").await.map_err(wrong)?;
    expect(b.publish("mixed/x", &Said("1".into())).await.map_err(wrong)?, 2)?;
    expect(a.publish("mixed/*", &Said("2".into())).await.map_err(wrong)?, 2)?;
    for heard in [&mut first, &mut second] {
        hears(heard, "test/mixed/x", "1").await?;
        hears(heard, "test/mixed/*", "2").await?;
    }
    Ok(())
}

async fn empty_topic(w: &World) -> Outcome {
    let (a, b) = (w.unix().await?, w.unix().await?);
    let mut heard = a.subscribe::<Said>("").await.map_err(wrong)?;
    b.publish("", &Said("d".into())).await.map_err(wrong)?;
    hears(&mut heard, "test", "d").await
}

async fn invalid_topic(w: &World) -> Outcome {
    let a = w.unix().await?;
    match a.publish("UPPER", &Said("x".into())).await {
        Err(error) => expect(
            error.to_string().as_str(),
            "Request failed: Invalid topic string: Invalid topic string: test/UPPER",
        ),
        Ok(_) => Err("published".into()),
    }
}

async fn unsubscribe(w: &World) -> Outcome {
    let (a, b) = (w.unix().await?, w.unix().await?);
    drop(a.subscribe::<Said>("once").await.map_err(wrong)?);
    let mut again = a.subscribe::<Said>("once").await.map_err(wrong)?;
    b.publish("once", &Said("e".into())).await.map_err(wrong)?;
    hears(&mut again, "test/once", "e").await?;
    drop(again);
    for _ in 0..500 {
        if b.publish("once", &Said("f".into())).await.map_err(wrong)? == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("still subscribed".into())
}

async fn answer_one(owner: &Client, mut requests: RequestSubscription<Asked>) -> Outcome {
    let (topic, id, asked) = requests.recv().await.ok_or("no request")?;
    expect(topic.as_str(), "test/ping")?;
    owner.respond::<Asked>(id, &Said(format!("{} PONG", asked.0))).await.map_err(wrong)
}

async fn request_response(w: &World) -> Outcome {
    for (owner, asker) in
        [(w.tcp().await?, w.unix().await?), (w.unix().await?, w.tcp().await?)]
    {
        let requests = claim(&owner).await?;
        let ping = Asked("PING".into());
        let (answered, got) =
            tokio::join!(answer_one(&owner, requests), asker.request("ping", &ping));
        answered?;
        expect(got.map_err(wrong)?, Said("PING PONG".into()))?;
    }
    Ok(())
}

/// What served before may be on its way out: dropping it does not wait.
async fn claim(owner: &Client) -> Result<RequestSubscription<Asked>, String> {
    for _ in 0..500 {
        match owner.serve::<Asked>("ping").await {
            Ok(requests) => return Ok(requests),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    Err("the claim is not to be had".into())
}

async fn exclusive(w: &World) -> Outcome {
    let (a, b, asker) = (w.unix().await?, w.tcp().await?, w.unix().await?);
    let first = claim(&a).await?;
    match b.serve::<Asked>("ping").await {
        Err(error) => expect(
            error.to_string().as_str(),
            "Request failed: Claim topic failed: Already claimed",
        )?,
        Ok(_) => return Err("claimed twice".into()),
    }
    // The client that was refused has sent an Unsrv: it must not hurt the owner.
    let ping = Asked("PING".into());
    let (answered, got) = tokio::join!(answer_one(&a, first), asker.request("ping", &ping));
    answered?;
    got.map_err(wrong)?;
    drop(claim(&b).await?);
    Ok(())
}

async fn nobody_serves(w: &World) -> Outcome {
    match w.unix().await?.request("nobody", &Asked("?".into())).await {
        Err(error) => {
            expect(error.to_string().as_str(), "Request failed: Service not found: test/nobody")
        }
        Ok(_) => Err("answered".into()),
    }
}

async fn wrong_request_id(w: &World) -> Outcome {
    let (owner, asker) = (w.unix().await?, w.unix().await?);
    let mut requests = claim(&owner).await?;
    let ping = Asked("PING".into());
    let respond = async {
        let (_, id, _) = requests.recv().await.ok_or("no request")?;
        match owner.respond::<Asked>(id.wrapping_add(1), &Said("no".into())).await {
            Err(error) => expect(
                error.to_string().as_str(),
                "Request failed: Respond failed: Invalid request ID or requester disconnected",
            )?,
            Ok(()) => return Err("a wrong id was taken".to_string()),
        }
        owner.respond::<Asked>(id, &Said("yes".into())).await.map_err(wrong)
    };
    let (responded, got) = tokio::join!(respond, asker.request("ping", &ping));
    responded?;
    expect(got.map_err(wrong)?, Said("yes".into()))
}

async fn compression(w: &World) -> Outcome {
    let (a, b) = (w.unix().await?, w.tcp().await?);
    let mut heard = b.subscribe::<Said>("zip").await.map_err(wrong)?;
    let text = "*".repeat(10000);
    a.publish("zip", &Said(text.clone())).await.map_err(wrong)?;
    hears(&mut heard, "test/zip", &text).await
}

async fn malformed(w: &World) -> Outcome {
    let (a, b) = (w.unix().await?, w.unix().await?);
    let mut heard = a.subscribe::<Said>("sane").await.map_err(wrong)?;
    let mut mad = tokio::net::UnixStream::connect(&w.unix).await.map_err(wrong)?;
    mad.write_all(&[0, 0, 0, 1, 0]).await.map_err(wrong)?;
    expect(mad.read(&mut [0; 16]).await.map_err(wrong)?, 0)?;
    b.publish("sane", &Said("still".into())).await.map_err(wrong)?;
    hears(&mut heard, "test/sane", "still").await
}

async fn hundred_clients(w: &World) -> Outcome {
    let mut clients = Vec::new();
    for i in 0..100 {
        let client = if i % 2 == 0 { w.unix().await? } else { w.tcp().await? };
        let heard = client.subscribe::<Said>("crowd").await.map_err(wrong)?;
        clients.push((i, client, heard));
    }
    let all = clients.into_iter().map(|(i, client, mut heard)| async move {
        let said = Said(i.to_string());
        expect(client.publish("crowd", &said).await.map_err(wrong)?, 100)?;
        for _ in 0..100 {
            heard.recv().await.ok_or("the subscription ended")?;
        }
        Ok::<_, String>(())
    });
    for outcome in futures::future::join_all(all).await {
        outcome?;
    }
    Ok(())
}

/// The original ends here: its timer finds nothing and takes the bus with it.
async fn alive_after_requests(w: &World) -> Outcome {
    let (owner, asker) = (w.unix().await?, w.unix().await?);
    let requests = claim(&owner).await?;
    let ping = Asked("PING".into());
    let (answered, got) = tokio::join!(answer_one(&owner, requests), asker.request("ping", &ping));
    answered?;
    got.map_err(wrong)?;
    tokio::time::sleep(Duration::from_secs(35)).await;
    pub_sub(owner, asker).await
}

async fn report(name: &str, patience: Duration, check: impl Future<Output = Outcome>) {
    match timeout(patience, check).await {
        Ok(Ok(())) => println!("ok {name}"),
        Ok(Err(reason)) => println!("not ok {name} {reason}"),
        Err(_) => println!("not ok {name} took too long"),
    }
}

async fn checks(w: World) {
    macro_rules! check {
        ($($name:ident),*) => { $(report(stringify!($name), PATIENCE, $name(&w)).await;)* };
    }
    check!(tcp, unix, mixed, empty_topic, invalid_topic, unsubscribe, request_response, exclusive,
           nobody_serves, wrong_request_id, compression, malformed, hundred_clients);
    report("alive_after_requests", Duration::from_secs(120), alive_after_requests(&w)).await;
}

// --- Flow --------------------------------------------------------------------------------------

async fn pair(
    connector: Connector,
    number: usize,
    messages: usize,
    bytes: usize,
    window: usize,
) -> Outcome {
    let publisher = connector.connect().await.map_err(wrong)?;
    let subscriber = connector.connect().await.map_err(wrong)?;
    let topic = format!("flow/{number}");
    let mut heard = subscriber.subscribe::<Said>(&topic).await.map_err(wrong)?;
    let said = Said("x".repeat(bytes));
    let publish = async {
        let mut acks = stream::iter(0..messages)
            .map(|_| publisher.publish(&topic, &said))
            .buffer_unordered(window);
        while let Some(ack) = acks.next().await {
            expect(ack.map_err(wrong)?, 1)?;
        }
        Ok::<_, String>(())
    };
    let hear = async {
        for _ in 0..messages {
            heard.recv().await.ok_or("the subscription ended")?;
        }
        Ok::<_, String>(())
    };
    tokio::try_join!(publish, hear).map(|_| ())
}

async fn flow(unix: PathBuf, pairs: usize, messages: usize, bytes: usize, window: usize) {
    let began = Instant::now();
    let tasks: Vec<_> = (0..pairs)
        .map(|i| tokio::spawn(pair(Connector::new_unix(unix.clone()), i, messages, bytes, window)))
        .collect();
    for task in tasks {
        settle(task.await.unwrap_or_else(|error| Err(error.to_string())));
    }
    println!("{:.0}", (pairs * messages) as f64 / began.elapsed().as_secs_f64());
}

async fn memory(messages: usize, bytes: usize, window: usize) {
    let (_stopper, connector) = ServerBuilder::new().serve_memory().build().await.expect("serving");
    let began = Instant::now();
    settle(pair(connector.expect("a connector"), 0, messages, bytes, window).await);
    println!("{:.0}", messages as f64 / began.elapsed().as_secs_f64());
}

fn settle(outcome: Outcome) {
    if let Err(reason) = outcome {
        println!("not ok flow {reason}");
        std::process::exit(1);
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments[i].parse::<usize>().expect("a number");
    match arguments.first().map(String::as_str) {
        Some("checks") => {
            checks(World { tcp: arguments[1].clone(), unix: PathBuf::from(&arguments[2]) }).await
        }
        Some("flow") => {
            flow(PathBuf::from(&arguments[1]), number(2), number(3), number(4), number(5)).await
        }
        Some("memory") => memory(number(1), number(2), number(3)).await,
        Some("serve") => {
            let (stopper, _) = ServerBuilder::new()
                .serve_unix_socket(PathBuf::from(&arguments[1]))
                .build()
                .await
                .expect("listening");
            println!("ready");
            stopper.join().await.expect("serving");
        }
        _ => {
            eprintln!("usage: t2_checks checks|flow|memory|serve ...");
            std::process::exit(2);
        }
    }
}
