//! The Rust client (async-nats) against a running server. tests/clients/README.md says what each
//! check holds and how this program and run.py talk.

use std::env;
use std::error::Error;
use std::future::Future;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message, PublishErrorKind,
    RequestErrorKind, Subscriber,
};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

type Outcome = Result<(), Box<dyn Error>>;

/// Longest wait for anything that must happen.
const DEADLINE: Duration = Duration::from_secs(60);
const PAYLOAD_MAX: usize = 1024 * 1024;

fn ensure(holds: bool, otherwise: impl Into<String>) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(otherwise.into().into())
    }
}

fn options() -> ConnectOptions {
    ConnectOptions::new()
        .connection_timeout(DEADLINE)
        .request_timeout(Some(DEADLINE))
}

async fn connect() -> Result<Client, Box<dyn Error>> {
    Ok(options().connect(env::var("NATS_URL")?).await?)
}

async fn next(sub: &mut Subscriber) -> Result<Message, Box<dyn Error>> {
    Ok(timeout(DEADLINE, sub.next())
        .await?
        .ok_or("the subscription ended")?)
}

/// All messages until the subscription ends.
async fn rest(sub: &mut Subscriber) -> Result<Vec<Message>, Box<dyn Error>> {
    let mut messages = Vec::new();
    while let Some(message) = timeout(DEADLINE, sub.next()).await? {
        messages.push(message);
    }
    Ok(messages)
}

/// Publish one message and receive it on the same connection. The client's flush() does not ask the
/// server for a PONG; this does as much: what the server had to send before has come afterwards.
async fn round_trip(client: &Client, payload: Vec<u8>) -> Outcome {
    let inbox = client.new_inbox();
    let mut sub = client.subscribe(inbox.clone()).await?;
    client.publish(inbox, payload.clone().into()).await?;
    let message = next(&mut sub).await?;
    ensure(message.payload == payload, "other bytes came back")
}

async fn sync(client: &Client) -> Outcome {
    round_trip(client, b"sync".to_vec()).await
}

/// Bytes in which a lost or doubled piece shows.
fn patterned(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 7 >> 3) as u8).collect()
}

fn messages_received(client: &Client) -> u64 {
    client.statistics().in_messages.load(SeqCst)
}

/// Answer count requests on subject with "re: " and the request.
async fn serve(client: &Client, subject: &'static str, count: usize) -> Outcome {
    let mut requests = client.subscribe(subject).await?.take(count);
    sync(client).await?;
    let client = client.clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let Some(reply) = request.reply else { continue };
            let answer = [b"re: ", request.payload.as_ref()].concat();
            let _ = client.publish(reply, answer.into()).await;
        }
    });
    Ok(())
}

async fn check_connect() -> Outcome {
    let client = connect().await?;
    let info = client.server_info();
    ensure(
        info.max_payload == PAYLOAD_MAX,
        format!("max_payload is {}", info.max_payload),
    )?;
    ensure(info.headers, "the server offers no headers")?;
    ensure(
        info.version.starts_with("2."),
        format!("server version {}", info.version),
    )?;
    ensure(info.client_id > 0, "no client_id")?;
    sync(&client).await
}

async fn check_wildcards() -> Outcome {
    let cases: [(&str, &[&str]); 6] = [
        ("wild.*", &["wild.a", "wild.b"]),
        (
            "wild.>",
            &["wild.a", "wild.b", "wild.a.c", "wild.b.c", "wild.a.c.d"],
        ),
        ("wild.*.c", &["wild.a.c", "wild.b.c"]),
        ("wild.a.c", &["wild.a.c"]),
        ("*.a.>", &["wild.a.c", "wild.a.c.d"]),
        ("wild", &["wild"]),
    ];
    let client = connect().await?;
    let mut subs = Vec::new();
    for (pattern, _) in cases {
        subs.push(client.subscribe(pattern).await?);
    }
    for subject in [
        "wild.a",
        "wild.b",
        "wild",
        "wild.a.c",
        "wild.b.c",
        "wild.a.c.d",
    ] {
        client.publish(subject, "".into()).await?;
    }
    sync(&client).await?;
    for ((pattern, want), sub) in cases.iter().zip(&mut subs) {
        sub.drain().await?;
        let got: Vec<String> = rest(sub)
            .await?
            .iter()
            .map(|m| m.subject.to_string())
            .collect();
        ensure(got == *want, format!("{pattern} received {got:?}"))?;
    }
    Ok(())
}

async fn check_queue_group() -> Outcome {
    const COUNT: usize = 200;
    let publisher = connect().await?;
    let members = [connect().await?, connect().await?];
    let (seen_tx, mut seen) = mpsc::unbounded_channel();
    for (index, member) in members.iter().enumerate() {
        let mut sub = member.queue_subscribe("queue.*", "workers".into()).await?;
        sync(member).await?;
        let seen_tx = seen_tx.clone();
        tokio::spawn(async move {
            while let Some(message) = sub.next().await {
                let _ = seen_tx.send((index, message.payload));
            }
        });
    }
    for number in 0..COUNT {
        publisher
            .publish("queue.job", number.to_string().into())
            .await?;
    }
    let mut numbers = Vec::new();
    let mut shares = [0; 2];
    while numbers.len() < COUNT {
        let (index, payload) = timeout(DEADLINE, seen.recv()).await?.ok_or("no members")?;
        shares[index] += 1;
        numbers.push(std::str::from_utf8(&payload)?.parse::<usize>()?);
    }
    numbers.sort_unstable();
    ensure(numbers.into_iter().eq(0..COUNT), "a message came twice")?;
    ensure(!shares.contains(&0), format!("the members got {shares:?}"))?;
    // After a round trip of each, whatever else was sent to the members would have come as well.
    // Each member receives two messages of its own, one for each round trip.
    let mut delivered = 0;
    for member in &members {
        sync(member).await?;
        delivered += messages_received(member) as usize - 2;
    }
    ensure(
        delivered == COUNT,
        format!("{delivered} messages delivered for {COUNT}"),
    )
}

async fn check_headers() -> Outcome {
    let client = connect().await?;
    let mut sub = client.subscribe("headers").await?;
    let mut headers = HeaderMap::new();
    headers.append("Many", "one");
    headers.append("Many", "two, and: three");
    headers.insert("lower-case", "grün");
    for payload in ["body", ""] {
        client
            .publish_with_headers("headers", headers.clone(), payload.into())
            .await?;
        let message = next(&mut sub).await?;
        let got = message.headers.ok_or("no headers came back")?;
        ensure(got == headers, format!("headers came back as {got:?}"))?;
        ensure(message.payload == payload, "another payload came back")?;
    }
    Ok(())
}

async fn check_request_reply() -> Outcome {
    let client = connect().await?;
    let responder = connect().await?;
    serve(&responder, "service", 3).await?;
    for text in ["one", "two", ""] {
        let reply = client.request("service", text.into()).await?;
        ensure(
            reply.payload == format!("re: {text}"),
            format!("request {text:?} was answered {:?}", reply.payload),
        )?;
    }
    Ok(())
}

async fn check_request_timeout() -> Outcome {
    let patience = Some(Duration::from_millis(200));
    let client = options()
        .request_timeout(patience)
        .connect(env::var("NATS_URL")?)
        .await?;
    let mut silent = client.subscribe("silent").await?;
    match client.request("silent", "anybody?".into()).await {
        Err(error) if error.kind() == RequestErrorKind::TimedOut => {}
        other => return Err(format!("expected a timeout, got {other:?}").into()),
    }
    let message = next(&mut silent).await?;
    ensure(
        message.reply.is_some(),
        "the request came without a reply subject",
    )
}

async fn check_no_responders() -> Outcome {
    let client = connect().await?;
    match client.request("nobody.listens", "hello?".into()).await {
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
        other => Err(format!("expected no responders, got {other:?}").into()),
    }
}

async fn check_drain_subscription() -> Outcome {
    const COUNT: usize = 100;
    let client = connect().await?;
    let mut sub = client.subscribe("drain.sub").await?;
    for _ in 0..COUNT {
        client.publish("drain.sub", "x".into()).await?;
    }
    sync(&client).await?;
    sub.drain().await?; // with all messages still waiting in the client
    client.publish("drain.sub", "late".into()).await?;
    sync(&client).await?;
    let handled = rest(&mut sub).await?;
    ensure(
        handled.len() == COUNT,
        format!("{} messages handled of {COUNT}", handled.len()),
    )?;
    ensure(
        handled.iter().all(|m| m.payload == "x"),
        "the late message was delivered",
    )?;
    let received = messages_received(&client) as usize - 2; // two round trips
    ensure(
        received == COUNT,
        format!("the server sent {received} messages"),
    )
}

async fn check_drain_connection() -> Outcome {
    const COUNT: usize = 100;
    let watcher = connect().await?;
    let mut done = watcher.subscribe("drain.done").await?;
    sync(&watcher).await?;
    let client = connect().await?;
    let mut sub = client.subscribe("drain.conn").await?;
    for _ in 0..COUNT {
        client.publish("drain.conn", "x".into()).await?;
    }
    sync(&client).await?;
    for number in 0..COUNT {
        client
            .publish("drain.done", number.to_string().into())
            .await?;
    }
    client.drain().await?; // with messages waiting both to be handled and to be sent
    let handled = rest(&mut sub).await?.len();
    ensure(
        handled == COUNT,
        format!("{handled} messages handled of {COUNT}"),
    )?;
    for number in 0..COUNT {
        let message = next(&mut done).await?;
        ensure(
            message.payload == number.to_string(),
            "another message was sent",
        )?;
    }
    ensure(
        client.subscribe("too.late").await.is_err(),
        "still open after the drain",
    )
}

async fn check_auto_unsubscribe() -> Outcome {
    let client = connect().await?;
    let mut sub = client.subscribe("auto").await?;
    sub.unsubscribe_after(3).await?;
    for _ in 0..5 {
        client.publish("auto", "".into()).await?;
    }
    sync(&client).await?;
    let got = rest(&mut sub).await?.len();
    ensure(got == 3, format!("{got} messages came"))?;
    let received = messages_received(&client) - 1; // one round trip
    ensure(
        received == 3,
        format!("the server sent {received} messages"),
    )
}

async fn check_payload_max() -> Outcome {
    let client = connect().await?;
    let mut requests = client.subscribe("large.echo").await?;
    let echoing = async {
        let request = next(&mut requests).await?;
        let reply = request.reply.ok_or("no reply subject")?;
        client.publish(reply, request.payload).await?;
        Ok(())
    };
    let asking = async {
        let payload = patterned(PAYLOAD_MAX);
        let reply = client.request("large.echo", payload.clone().into()).await?;
        ensure(reply.payload == payload, "other bytes came back")
    };
    let (echoed, asked): (Outcome, Outcome) = tokio::join!(echoing, asking);
    echoed.and(asked)
}

async fn check_payload_over_max() -> Outcome {
    let client = connect().await?;
    match client
        .publish("large.over", patterned(PAYLOAD_MAX + 1).into())
        .await
    {
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {}
        other => return Err(format!("expected a refusal, got {other:?}").into()),
    }
    sync(&client).await
}

async fn check_ping() -> Outcome {
    let client = connect().await?;
    let start = Instant::now();
    sync(&client).await?;
    ensure(start.elapsed() < DEADLINE, "the round trip took too long")?;
    Ok(client.flush().await?)
}

async fn check_user_password() -> Outcome {
    let known =
        options().user_and_password(env::var("NATS_TEST_USER")?, env::var("NATS_TEST_PASS")?);
    sync(&known.connect(env::var("NATS_USER_URL")?).await?).await
}

async fn check_token() -> Outcome {
    let known = options().token(env::var("NATS_TEST_TOKEN")?);
    sync(&known.connect(env::var("NATS_TOKEN_URL")?).await?).await
}

/// Both show certificates of one authority.
fn certificates() -> Result<ConnectOptions, env::VarError> {
    Ok(options()
        .require_tls(true)
        .add_root_certificates(env::var("NATS_TLS_CA")?.into())
        .add_client_certificate(
            env::var("NATS_TLS_CERT")?.into(),
            env::var("NATS_TLS_KEY")?.into(),
        ))
}

async fn check_tls() -> Outcome {
    sync(&certificates()?.connect(env::var("NATS_TLS_URL")?).await?).await
}

async fn check_certificate_map() -> Outcome {
    sync(&certificates()?.connect(env::var("NATS_MAP_URL")?).await?).await
}

/// One way of showing who one is lets in, and the other does not.
async fn known_and_stranger(
    url: &str,
    known: ConnectOptions,
    stranger: ConnectOptions,
) -> Outcome {
    sync(&known.connect(url).await?).await?;
    match stranger.connect(url).await {
        Err(error) if error.kind() == ConnectErrorKind::AuthorizationViolation => Ok(()),
        Err(error) => Err(format!("a stranger: {error:?}").into()),
        Ok(_) => Err("a stranger was let in".into()),
    }
}

async fn check_nkey() -> Outcome {
    let seed_of = |name| -> Result<String, Box<dyn std::error::Error>> {
        Ok(std::fs::read_to_string(env::var(name)?)?)
    };
    let (known, stranger) = (seed_of("NATS_NKEY_SEED")?, seed_of("NATS_NKEY_WRONG")?);
    let url = env::var("NATS_NKEY_URL")?;
    known_and_stranger(&url, options().nkey(known), options().nkey(stranger)).await
}

async fn check_creds() -> Outcome {
    let known = options().credentials_file(env::var("NATS_CREDS")?).await?;
    let stranger = options().credentials_file(env::var("NATS_CREDS_WRONG")?).await?;
    known_and_stranger(&env::var("NATS_CREDS_URL")?, known, stranger).await
}

async fn check_wrong_credentials() -> Outcome {
    let (user_url, token_url) = (env::var("NATS_USER_URL")?, env::var("NATS_TOKEN_URL")?);
    let (user, pass) = (env::var("NATS_TEST_USER")?, env::var("NATS_TEST_PASS")?);
    let attempts = [
        (
            "wrong password",
            &user_url,
            options().user_and_password(user, "wrong".into()),
        ),
        (
            "unknown user",
            &user_url,
            options().user_and_password("nobody".into(), pass),
        ),
        ("no password", &user_url, options()),
        ("wrong token", &token_url, options().token("wrong".into())),
        ("no token", &token_url, options()),
    ];
    for (what, url, attempt) in attempts {
        match attempt.connect(url.as_str()).await {
            Err(error) if error.kind() == ConnectErrorKind::AuthorizationViolation => {}
            Err(error) => return Err(format!("{what}: {error:?}").into()),
            Ok(_) => return Err(format!("{what} was let in").into()),
        }
    }
    Ok(())
}

/// Have run.py stop the server and start it again on its port; returns when it has.
async fn restart_server() -> Outcome {
    println!("RESTART");
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    })
    .await??;
    ensure(
        answer == "RESTARTED\n",
        format!("the runner answered {answer:?}"),
    )
}

/// Connect, with a channel that tells of each connection (true) and each loss (false).
async fn connect_watched() -> Result<(Client, mpsc::UnboundedReceiver<bool>), Box<dyn Error>> {
    let (events_tx, events) = mpsc::unbounded_channel();
    let client = options()
        .reconnect_delay_callback(|_| Duration::from_millis(50))
        .event_callback(move |event| {
            let events_tx = events_tx.clone();
            async move {
                match event {
                    Event::Connected => _ = events_tx.send(true),
                    Event::Disconnected => _ = events_tx.send(false),
                    _ => {}
                }
            }
        })
        .connect(env::var("NATS_URL")?)
        .await?;
    Ok((client, events))
}

async fn check_restart() -> Outcome {
    let (client, events) = connect_watched().await?;
    let (other, other_events) = connect_watched().await?;
    let mut plain = client.subscribe("restart.*").await?;
    let mut queue = client
        .queue_subscribe("restart.>", "workers".into())
        .await?;
    serve(&client, "again", 2).await?;
    // The first request makes the inbox subscription that has to survive.
    other.request("again", "".into()).await?;
    restart_server().await?;
    for mut events in [events, other_events] {
        for expected in [true, false, true] {
            let event = timeout(DEADLINE, events.recv()).await?;
            ensure(
                event == Some(expected),
                "connected, lost, connected again: not in this order",
            )?;
        }
    }
    sync(&client).await?;
    other.publish("restart.after", "".into()).await?;
    other.request("again", "".into()).await?;
    for sub in [&mut plain, &mut queue] {
        next(sub).await?;
        sub.drain().await?;
        ensure(rest(sub).await?.is_empty(), "a message came twice")?;
    }
    Ok(())
}

async fn run(name: &str, check: impl Future<Output = Outcome>) {
    match check.await {
        Ok(()) => println!("ok {name}"),
        Err(reason) => println!("not ok {name} {}", reason.to_string().replace('\n', " ")),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    run("connect", check_connect()).await;
    run("wildcards", check_wildcards()).await;
    run("queue_group", check_queue_group()).await;
    run("headers", check_headers()).await;
    run("request_reply", check_request_reply()).await;
    run("request_timeout", check_request_timeout()).await;
    run("no_responders", check_no_responders()).await;
    run("drain_subscription", check_drain_subscription()).await;
    run("drain_connection", check_drain_connection()).await;
    run("auto_unsubscribe", check_auto_unsubscribe()).await;
    run("payload_max", check_payload_max()).await;
    run("payload_over_max", check_payload_over_max()).await;
    run("ping", check_ping()).await;
    run("user_password", check_user_password()).await;
    run("token", check_token()).await;
    run("wrong_credentials", check_wrong_credentials()).await;
    run("tls", check_tls()).await;
    run("nkey", check_nkey()).await;
    run("creds", check_creds()).await;
    run("certificate_map", check_certificate_map()).await;
    run("restart", check_restart()).await;
}
