import io.nats.client.AuthHandler;
import io.nats.client.AuthenticationException;
import io.nats.client.Connection;
import io.nats.client.ConnectionListener.Events;
import io.nats.client.Dispatcher;
import io.nats.client.ErrorListener;
import io.nats.client.Message;
import io.nats.client.MessageHandler;
import io.nats.client.Nats;
import io.nats.client.Options;
import io.nats.client.RequestFailureMessage;
import io.nats.client.RequestFailureReason;
import io.nats.client.Subscription;
import io.nats.client.api.ServerInfo;
import io.nats.client.impl.Headers;
import io.nats.client.impl.NatsMessage;
import io.nats.client.impl.UnixDataPort;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * The Java client (jnats) against a running server. tests/clients/README.md says what each check
 * holds and how this program and run.py talk.
 */
public final class Checks {
    /** Longest wait for anything that must happen. */
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    /**
     * How long a connection attempt may take. A server that refuses, or stops in the middle, closes
     * the connection at once, and yet jnats waits this long for its PONG.
     */
    private static final Duration CONNECT_DEADLINE = Duration.ofSeconds(10);
    private static final char[] STORE_PASSWORD = "password".toCharArray(); // of a test
    private static final int PAYLOAD_MAX = 1024 * 1024;
    private static final byte[] EMPTY = {};

    private Checks() {}

    private interface Check {
        void run() throws Exception;
    }

    public static void main(String[] args) {
        report("connect", Checks::connects);
        report("wildcards", Checks::wildcards);
        report("queue_group", Checks::queueGroup);
        report("headers", Checks::headers);
        report("request_reply", Checks::requestReply);
        report("request_timeout", Checks::requestTimeout);
        report("no_responders", Checks::noResponders);
        report("drain_subscription", Checks::drainSubscription);
        report("drain_connection", Checks::drainConnection);
        report("auto_unsubscribe", Checks::autoUnsubscribe);
        report("payload_max", Checks::payloadMax);
        report("payload_over_max", Checks::payloadOverMax);
        report("ping", Checks::ping);
        report("user_password", Checks::userPassword);
        report("token", Checks::token);
        report("wrong_credentials", Checks::wrongCredentials);
        report("tls", Checks::tls);
        report("nkey", Checks::nkey);
        report("creds", Checks::creds);
        report("certificate_map", Checks::certificateMap);
        if (System.getenv("NATS_UNIX_PATH") != null) {
            report("unix_socket", Checks::unixSocket);
        }
        report("restart", Checks::restart);
        System.exit(0);
    }

    private static void report(String name, Check check) {
        try {
            check.run();
            System.out.println("ok " + name);
        } catch (Exception problem) {
            System.out.println("not ok " + name + " " + problem.toString().replace('\n', ' '));
        }
    }

    private static void ensure(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }

    private static void same(Object got, Object want, String what) {
        ensure(Objects.equals(got, want), what + ": got " + got + ", expected " + want);
    }

    private static Options.Builder options(String urlVariable) {
        return Options.builder()
                .server(System.getenv(urlVariable))
                .connectionTimeout(CONNECT_DEADLINE)
                .advancedRequestBehavior() // failed requests say why
                .errorListener(new ErrorListener() {});
    }

    private static Connection connect() throws Exception {
        return Nats.connect(options("NATS_URL").build());
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(Message message) {
        return new String(message.getData(), StandardCharsets.UTF_8);
    }

    private static Message next(Subscription sub) throws Exception {
        Message message = sub.nextMessage(DEADLINE);
        ensure(message != null, sub.getSubject() + ": no message");
        return message;
    }

    private static void roundTrip(Connection nc, String subject, byte[] payload) throws Exception {
        Subscription sub = nc.subscribe(subject);
        nc.publish(subject, payload);
        ensure(Arrays.equals(next(sub).getData(), payload), "other bytes came back");
        sub.unsubscribe();
    }

    /** Bytes in which a lost or doubled piece shows. */
    private static byte[] patterned(int size) {
        byte[] payload = new byte[size];
        for (int i = 0; i < size; i++) {
            payload[i] = (byte) (i * 7 >> 3);
        }
        return payload;
    }

    private static void listen(Connection nc, String subject, MessageHandler handler)
            throws Exception {
        nc.createDispatcher(handler).subscribe(subject);
        nc.flush(DEADLINE);
    }

    private static void connects() throws Exception {
        try (Connection nc = connect()) {
            ServerInfo info = nc.getServerInfo();
            same(info.getMaxPayload(), (long) PAYLOAD_MAX, "max_payload");
            same(info.isHeadersSupported(), true, "headers supported");
            ensure(info.getVersion().startsWith("2."), "server version " + info.getVersion());
            ensure(info.getClientId() > 0, "no client_id");
            roundTrip(nc, "connect", bytes("hello"));
        }
    }

    private static void wildcards() throws Exception {
        List<List<String>> cases = List.of(
                List.of("wild.*", "wild.a", "wild.b"),
                List.of("wild.>", "wild.a", "wild.b", "wild.a.c", "wild.b.c", "wild.a.c.d"),
                List.of("wild.*.c", "wild.a.c", "wild.b.c"),
                List.of("wild.a.c", "wild.a.c"),
                List.of("*.a.>", "wild.a.c", "wild.a.c.d"),
                List.of("wild", "wild"));
        try (Connection nc = connect()) {
            List<Subscription> subs = new ArrayList<>();
            for (List<String> patternAndWant : cases) {
                subs.add(nc.subscribe(patternAndWant.get(0)));
            }
            for (String subject : List.of("wild.a", "wild.b", "wild", "wild.a.c", "wild.b.c",
                    "wild.a.c.d")) {
                nc.publish(subject, EMPTY);
            }
            nc.flush(DEADLINE);
            for (int i = 0; i < cases.size(); i++) {
                List<String> got = new ArrayList<>(List.of(cases.get(i).get(0)));
                while (got.size() < cases.get(i).size()) {
                    got.add(next(subs.get(i)).getSubject());
                }
                same(got, cases.get(i), "pattern and subjects");
                same(subs.get(i).getPendingMessageCount(), 0L, "messages too many");
            }
        }
    }

    private static void queueGroup() throws Exception {
        final int count = 200;
        try (Connection publisher = connect(); Connection one = connect();
                Connection two = connect()) {
            BlockingQueue<Integer> received = new LinkedBlockingQueue<>();
            for (Connection member : List.of(one, two)) {
                member.createDispatcher(message -> received.add(Integer.valueOf(text(message))))
                        .subscribe("queue.*", "workers");
                member.flush(DEADLINE);
            }
            for (int i = 0; i < count; i++) {
                publisher.publish("queue.job", bytes(Integer.toString(i)));
            }
            TreeSet<Integer> seen = new TreeSet<>();
            while (seen.size() < count) {
                Integer number = received.poll(DEADLINE.toSeconds(), TimeUnit.SECONDS);
                ensure(number != null, seen.size() + " messages came of " + count);
                ensure(seen.add(number), "message " + number + " came twice");
            }
            // After a flush of each, whatever else was sent to the members would have come as well.
            one.flush(DEADLINE);
            two.flush(DEADLINE);
            long[] shares = {one.getStatistics().getInMsgs(), two.getStatistics().getInMsgs()};
            same(shares[0] + shares[1], (long) count, "messages delivered");
            ensure(shares[0] > 0 && shares[1] > 0, "shares " + Arrays.toString(shares));
        }
    }

    private static void headers() throws Exception {
        try (Connection nc = connect()) {
            Subscription sub = nc.subscribe("headers");
            for (String payload : List.of("body", "")) {
                Headers sent = new Headers();
                sent.add("Many", "one", "two, and: three");
                sent.put("lower-case", "green"); // jnats takes ASCII only
                nc.publish(NatsMessage.builder()
                        .subject("headers").headers(sent).data(payload).build());
                Message message = next(sub);
                Headers got = message.getHeaders();
                same(got.get("Many"), List.of("one", "two, and: three"), "values");
                same(got.get("lower-case"), List.of("green"), "value");
                same(got.size(), 2, "number of names");
                same(text(message), payload, "payload");
            }
        }
    }

    private static void requestReply() throws Exception {
        try (Connection nc = connect(); Connection responder = connect()) {
            listen(responder, "service", message ->
                    responder.publish(message.getReplyTo(), bytes("re: " + text(message))));
            for (String request : List.of("one", "two", "")) {
                Message reply = nc.request("service", bytes(request), DEADLINE);
                same(text(reply), "re: " + request, "reply");
            }
        }
    }

    private static void expectFailure(Message reply, RequestFailureReason reason) {
        ensure(reply instanceof RequestFailureMessage, "expected " + reason + ", got " + reply);
        same(((RequestFailureMessage) reply).getReason(), reason, "reason");
    }

    private static void requestTimeout() throws Exception {
        try (Connection nc = connect()) {
            Subscription silent = nc.subscribe("silent");
            Message reply = nc.request("silent", bytes("anybody?"), Duration.ofMillis(200));
            expectFailure(reply, RequestFailureReason.TIMEOUT);
            ensure(next(silent).getReplyTo() != null, "the request came without a reply subject");
        }
    }

    private static void noResponders() throws Exception {
        try (Connection nc = connect()) {
            Message reply = nc.request("nobody.listens", bytes("hello?"), DEADLINE);
            expectFailure(reply, RequestFailureReason.NO_RESPONDERS);
        }
    }

    private static void await(CountDownLatch latch, String what) throws InterruptedException {
        ensure(latch.await(DEADLINE.toSeconds(), TimeUnit.SECONDS),
                what + ": " + latch.getCount() + " missing");
    }

    private static void drainSubscription() throws Exception {
        final int count = 100;
        // The gate keeps messages waiting in the client until the drain has begun.
        CountDownLatch gate = new CountDownLatch(1);
        CountDownLatch handled = new CountDownLatch(count);
        try (Connection nc = connect()) {
            Dispatcher dispatcher = nc.createDispatcher(message -> {
                gate.await();
                handled.countDown();
            });
            dispatcher.subscribe("drain.sub");
            for (int i = 0; i < count; i++) {
                nc.publish("drain.sub", bytes("x"));
            }
            nc.flush(DEADLINE);
            CompletableFuture<Boolean> drained = dispatcher.drain(DEADLINE);
            nc.publish("drain.sub", bytes("late"));
            nc.flush(DEADLINE);
            gate.countDown();
            same(drained.get(DEADLINE.toSeconds(), TimeUnit.SECONDS), true, "drained");
            await(handled, "messages handled");
            same(nc.getStatistics().getInMsgs(), (long) count, "messages sent by the server");
        }
    }

    private static void drainConnection() throws Exception {
        final int count = 100;
        CountDownLatch gate = new CountDownLatch(1);
        CountDownLatch handled = new CountDownLatch(count);
        try (Connection watcher = connect(); Connection nc = connect()) {
            Subscription done = watcher.subscribe("drain.done");
            watcher.flush(DEADLINE);
            listen(nc, "drain.conn", message -> {
                gate.await();
                handled.countDown();
            });
            for (int i = 0; i < count; i++) {
                nc.publish("drain.conn", bytes("x"));
            }
            nc.flush(DEADLINE);
            for (int i = 0; i < count; i++) {
                nc.publish("drain.done", bytes(Integer.toString(i)));
            }
            // Messages are waiting both to be handled and to be sent.
            CompletableFuture<Boolean> drained = nc.drain(DEADLINE);
            gate.countDown();
            same(drained.get(DEADLINE.toSeconds(), TimeUnit.SECONDS), true, "drained");
            same(nc.getStatus(), Connection.Status.CLOSED, "status after the drain");
            await(handled, "messages handled");
            for (int i = 0; i < count; i++) {
                same(text(next(done)), Integer.toString(i), "message sent before the drain");
            }
        }
    }

    private static void autoUnsubscribe() throws Exception {
        try (Connection nc = connect()) {
            Subscription sub = nc.subscribe("auto");
            sub.unsubscribe(3);
            for (int i = 0; i < 5; i++) {
                nc.publish("auto", EMPTY);
            }
            nc.flush(DEADLINE);
            for (int i = 0; i < 3; i++) {
                next(sub);
            }
            same(sub.isActive(), false, "still subscribed");
            same(nc.getStatistics().getInMsgs(), 3L, "messages sent by the server");
        }
    }

    private static void payloadMax() throws Exception {
        byte[] payload = patterned(PAYLOAD_MAX);
        try (Connection nc = connect()) {
            listen(nc, "large.echo", message ->
                    nc.publish(message.getReplyTo(), message.getData()));
            Message reply = nc.request("large.echo", payload, DEADLINE);
            ensure(Arrays.equals(reply.getData(), payload), "other bytes came back");
        }
    }

    private static void payloadOverMax() throws Exception {
        try (Connection nc = connect()) {
            try {
                nc.publish("large.over", patterned(PAYLOAD_MAX + 1));
            } catch (IllegalArgumentException refusal) {
                roundTrip(nc, "large.after", bytes("still here"));
                return;
            }
            throw new IllegalStateException("published");
        }
    }

    private static void ping() throws Exception {
        try (Connection nc = connect()) {
            Duration rtt = nc.RTT();
            ensure(!rtt.isNegative() && rtt.compareTo(DEADLINE) < 0, "round trip of " + rtt);
            nc.flush(DEADLINE);
        }
    }

    private static void userPassword() throws Exception {
        Options.Builder known = options("NATS_USER_URL")
                .userInfo(System.getenv("NATS_TEST_USER"), System.getenv("NATS_TEST_PASS"));
        try (Connection nc = Nats.connect(known.build())) {
            roundTrip(nc, "user", bytes("known"));
        }
    }

    /** What both show certificates of one authority with. */
    private static SSLContext certificates() throws Exception {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream file = Files.newInputStream(Path.of(System.getenv("NATS_TLS_P12")))) {
            keys.load(file, STORE_PASSWORD);
        }
        KeyManagerFactory own = KeyManagerFactory.getInstance(
                KeyManagerFactory.getDefaultAlgorithm());
        own.init(keys, STORE_PASSWORD);
        KeyStore authorities = KeyStore.getInstance("PKCS12");
        authorities.load(null, null);
        try (InputStream file = Files.newInputStream(Path.of(System.getenv("NATS_TLS_CA")))) {
            authorities.setCertificateEntry("authority",
                    CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trusted = TrustManagerFactory.getInstance(
                TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(authorities);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(own.getKeyManagers(), trusted.getTrustManagers(), null);
        return context;
    }

    private static void tls() throws Exception {
        Options.Builder secure = options("NATS_TLS_URL").sslContext(certificates());
        try (Connection nc = Nats.connect(secure.build())) {
            roundTrip(nc, "tls", bytes("known"));
        }
    }

    private static void certificateMap() throws Exception {
        Options.Builder secure = options("NATS_MAP_URL").sslContext(certificates());
        try (Connection nc = Nats.connect(secure.build())) {
            roundTrip(nc, "map", bytes("known"));
        }
    }

    private static void knownAndStranger(String url, AuthHandler known, AuthHandler stranger)
            throws Exception {
        try (Connection nc = Nats.connect(options(url).authHandler(known).build())) {
            roundTrip(nc, "known", bytes("known"));
        }
        expectRefusal("a stranger", options(url).authHandler(stranger));
    }

    private static AuthHandler signer(String variable) throws IOException {
        String seed = Files.readString(Path.of(System.getenv(variable))).strip();
        return Nats.staticCredentials(null, seed.toCharArray());
    }

    private static void nkey() throws Exception {
        knownAndStranger("NATS_NKEY_URL", signer("NATS_NKEY_SEED"), signer("NATS_NKEY_WRONG"));
    }

    private static void creds() throws Exception {
        knownAndStranger("NATS_CREDS_URL", Nats.credentials(System.getenv("NATS_CREDS")),
                Nats.credentials(System.getenv("NATS_CREDS_WRONG")));
    }

    private static void token() throws Exception {
        Options.Builder known = options("NATS_TOKEN_URL")
                .token(System.getenv("NATS_TEST_TOKEN").toCharArray());
        try (Connection nc = Nats.connect(known.build())) {
            roundTrip(nc, "token", bytes("known"));
        }
    }

    private static void expectRefusal(String what, Options.Builder options) {
        try (Connection nc = Nats.connect(options.build())) {
            throw new IllegalStateException(what + " was let in: " + nc.getStatus());
        } catch (AuthenticationException refusal) {
            // what was asked for
        } catch (IOException | InterruptedException problem) {
            throw new IllegalStateException(what + ": " + problem, problem);
        }
    }

    private static void wrongCredentials() throws Exception {
        String user = System.getenv("NATS_TEST_USER");
        String password = System.getenv("NATS_TEST_PASS");
        Map<String, Options.Builder> attempts = Map.of(
                "wrong password", options("NATS_USER_URL").userInfo(user, "wrong"),
                "unknown user", options("NATS_USER_URL").userInfo("nobody", password),
                "no password", options("NATS_USER_URL"),
                "wrong token", options("NATS_TOKEN_URL").token("wrong".toCharArray()),
                "no token", options("NATS_TOKEN_URL"));
        // All at once, because each takes the whole CONNECT_DEADLINE.
        ExecutorService threads = Executors.newFixedThreadPool(attempts.size());
        try {
            List<Future<?>> refusals = new ArrayList<>();
            attempts.forEach((what, options) ->
                    refusals.add(threads.submit(() -> expectRefusal(what, options))));
            for (Future<?> refusal : refusals) {
                refusal.get(DEADLINE.toSeconds(), TimeUnit.SECONDS);
            }
        } finally {
            threads.shutdownNow();
        }
    }

    private static void unixSocket() throws Exception {
        Options.Builder unix = options("NATS_URL").dataPortType(UnixDataPort.class.getName());
        try (Connection nc = Nats.connect(unix.build()); Connection tcp = connect()) {
            Subscription sub = nc.subscribe("unix.*");
            nc.flush(DEADLINE);
            tcp.publish("unix.fromtcp", bytes("across"));
            same(text(next(sub)), "across", "from TCP to the Unix socket");
            roundTrip(nc, "unixlarge", patterned(PAYLOAD_MAX));
        }
    }

    /** Have run.py stop the server and start it again on its port; returns when it has. */
    private static void restartServer() throws Exception {
        System.out.println("RESTART");
        String answer = new BufferedReader(new InputStreamReader(System.in)).readLine();
        same(answer, "RESTARTED", "the runner's answer");
    }

    /** Events of one connection; jnats reports a disconnect for each failed attempt as well. */
    private record Watch(CountDownLatch lost, CountDownLatch back) {
        Watch() {
            this(new CountDownLatch(1), new CountDownLatch(1));
        }

        Connection connect() throws Exception {
            return Nats.connect(options("NATS_URL")
                    .maxReconnects(-1)
                    .reconnectWait(Duration.ofMillis(50))
                    .connectionListener((nc, event) -> {
                        if (event == Events.DISCONNECTED) {
                            lost.countDown();
                        } else if (event == Events.RESUBSCRIBED) {
                            back.countDown();
                        }
                    })
                    .build());
        }

        void seen() throws InterruptedException {
            await(lost, "disconnect");
            await(back, "reconnect");
        }
    }

    private static void restart() throws Exception {
        Watch watch = new Watch();
        Watch otherWatch = new Watch();
        try (Connection nc = watch.connect(); Connection other = otherWatch.connect()) {
            Subscription plain = nc.subscribe("restart.*");
            Subscription queue = nc.subscribe("restart.>", "workers");
            listen(nc, "again", message -> nc.publish(message.getReplyTo(), message.getData()));
            // The first request makes the inbox subscription that has to survive.
            same(text(other.request("again", bytes("1"), DEADLINE)), "1", "reply");
            restartServer();
            watch.seen();
            otherWatch.seen();
            nc.flush(DEADLINE);
            other.publish("restart.after", EMPTY);
            same(text(other.request("again", bytes("2"), DEADLINE)), "2", "reply");
            nc.flush(DEADLINE);
            for (Subscription sub : List.of(plain, queue)) {
                same(next(sub).getSubject(), "restart.after", "message after the restart");
                same(sub.getPendingMessageCount(), 0L, "messages too many");
            }
        }
    }
}
