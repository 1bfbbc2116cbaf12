// The Go client (nats.go) against a running server. tests/clients/README.md says what each check
// holds and how this program and run.py talk.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	deadline   = 60 * time.Second // longest wait for anything that must happen
	payloadMax = 1024 * 1024
)

func main() {
	checks := []struct {
		name string
		run  func() error
	}{
		{"connect", checkConnect},
		{"wildcards", checkWildcards},
		{"queue_group", checkQueueGroup},
		{"headers", checkHeaders},
		{"request_reply", checkRequestReply},
		{"request_timeout", checkRequestTimeout},
		{"no_responders", checkNoResponders},
		{"drain_subscription", checkDrainSubscription},
		{"drain_connection", checkDrainConnection},
		{"auto_unsubscribe", checkAutoUnsubscribe},
		{"payload_max", checkPayloadMax},
		{"payload_over_max", checkPayloadOverMax},
		{"ping", checkPing},
		{"user_password", checkUserPassword},
		{"token", checkToken},
		{"wrong_credentials", checkWrongCredentials},
		{"tls", checkTLS},
		{"nkey", checkNKey},
		{"creds", checkCreds},
		{"certificate_map", checkCertificateMap},
		{"callout", checkCallout},
		{"unix_socket", checkUnixSocket},
		{"restart", checkRestart},
	}
	for _, check := range checks {
		if check.name == "unix_socket" && os.Getenv("NATS_UNIX_PATH") == "" {
			continue
		}
		if err := check.run(); err != nil {
			fmt.Printf("not ok %s %s\n", check.name, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Printf("ok %s\n", check.name)
		}
	}
}

func connect(options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(os.Getenv("NATS_URL"), append(options, nats.Timeout(deadline))...)
}

// next returns the subjects of the next count messages, in their order.
func next(sub *nats.Subscription, count int) ([]string, error) {
	var subjects []string
	for range count {
		msg, err := sub.NextMsg(deadline)
		if err != nil {
			return subjects, fmt.Errorf("%s: after %d of %d messages: %w", sub.Subject,
				len(subjects), count, err)
		}
		subjects = append(subjects, msg.Subject)
	}
	return subjects, nil
}

// roundTrip publishes one message and receives it on the same connection.
func roundTrip(nc *nats.Conn, subject string, payload []byte) error {
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		return err
	}
	if err := nc.Publish(subject, payload); err != nil {
		return err
	}
	msg, err := sub.NextMsg(deadline)
	if err != nil {
		return err
	}
	if !bytes.Equal(msg.Data, payload) {
		return fmt.Errorf("%d bytes came back for %d, or others", len(msg.Data), len(payload))
	}
	return sub.Unsubscribe()
}

// patterned returns bytes in which a lost or doubled piece shows.
func patterned(size int) []byte {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i * 7 >> 3)
	}
	return payload
}

func checkConnect() error {
	nc, err := connect(nats.Name("pipit client test"))
	if err != nil {
		return err
	}
	defer nc.Close()
	if nc.MaxPayload() != payloadMax {
		return fmt.Errorf("max_payload is %d", nc.MaxPayload())
	}
	if !nc.HeadersSupported() {
		return errors.New("the server offers no headers")
	}
	if !strings.HasPrefix(nc.ConnectedServerVersion(), "2.") {
		return fmt.Errorf("server version %q", nc.ConnectedServerVersion())
	}
	if _, err := nc.GetClientID(); err != nil {
		return err
	}
	return roundTrip(nc, "connect", []byte("hello"))
}

func checkWildcards() error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	cases := []struct {
		pattern string
		want    []string
	}{
		{"wild.*", []string{"wild.a", "wild.b"}},
		{"wild.>", []string{"wild.a", "wild.b", "wild.a.c", "wild.b.c", "wild.a.c.d"}},
		{"wild.*.c", []string{"wild.a.c", "wild.b.c"}},
		{"wild.a.c", []string{"wild.a.c"}},
		{"*.a.>", []string{"wild.a.c", "wild.a.c.d"}},
		{"wild", []string{"wild"}},
	}
	subs := make([]*nats.Subscription, len(cases))
	for i, c := range cases {
		if subs[i], err = nc.SubscribeSync(c.pattern); err != nil {
			return err
		}
	}
	subjects := []string{"wild.a", "wild.b", "wild", "wild.a.c", "wild.b.c", "wild.a.c.d"}
	for _, subject := range subjects {
		if err := nc.Publish(subject, nil); err != nil {
			return err
		}
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	for i, c := range cases {
		got, err := next(subs[i], len(c.want))
		if err != nil {
			return err
		}
		if !slices.Equal(got, c.want) {
			return fmt.Errorf("%s received %v", c.pattern, got)
		}
		if extra, _, _ := subs[i].Pending(); extra != 0 {
			return fmt.Errorf("%s received %d messages too many", c.pattern, extra)
		}
	}
	return nil
}

func checkQueueGroup() error {
	const count = 200
	publisher, err := connect()
	if err != nil {
		return err
	}
	defer publisher.Close()
	received := make(chan string, 3*count)
	members := [2]*nats.Conn{}
	for i := range members {
		if members[i], err = connect(); err != nil {
			return err
		}
		defer members[i].Close()
		_, err = members[i].QueueSubscribe("queue.*", "workers", func(msg *nats.Msg) {
			received <- string(msg.Data)
		})
		if err != nil {
			return err
		}
		if err := members[i].FlushTimeout(deadline); err != nil {
			return err
		}
	}
	for i := range count {
		if err := publisher.Publish("queue.job", fmt.Append(nil, i)); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	expired := time.After(deadline)
	for len(seen) < count {
		select {
		case id := <-received:
			if seen[id] {
				return fmt.Errorf("message %s came twice", id)
			}
			seen[id] = true
		case <-expired:
			return fmt.Errorf("%d of %d messages came", len(seen), count)
		}
	}
	// After a flush of each, whatever else was sent to the members would have come as well.
	total := uint64(0)
	for _, member := range members {
		if err := member.FlushTimeout(deadline); err != nil {
			return err
		}
		share := member.Stats().InMsgs
		if share == 0 {
			return errors.New("one member got nothing")
		}
		total += share
	}
	if total != count {
		return fmt.Errorf("%d messages delivered for %d", total, count)
	}
	return nil
}

func checkHeaders() error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("headers")
	if err != nil {
		return err
	}
	for _, payload := range []string{"body", ""} {
		sent := nats.NewMsg("headers")
		sent.Data = []byte(payload)
		sent.Header.Add("Many", "one")
		sent.Header.Add("Many", "two, and: three")
		sent.Header.Set("lower-case", "grün")
		if err := nc.PublishMsg(sent); err != nil {
			return err
		}
		got, err := sub.NextMsg(deadline)
		if err != nil {
			return err
		}
		if !slices.Equal(got.Header.Values("Many"), sent.Header.Values("Many")) ||
			got.Header.Get("lower-case") != "grün" || len(got.Header) != 2 {
			return fmt.Errorf("headers came back as %v", got.Header)
		}
		if string(got.Data) != payload {
			return fmt.Errorf("payload %q came back as %q", payload, got.Data)
		}
	}
	return nil
}

func checkRequestReply() error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	responder, err := connect()
	if err != nil {
		return err
	}
	defer responder.Close()
	_, err = responder.Subscribe("service", func(msg *nats.Msg) {
		_ = msg.Respond(append([]byte("re: "), msg.Data...))
	})
	if err != nil {
		return err
	}
	if err := responder.FlushTimeout(deadline); err != nil {
		return err
	}
	for _, text := range []string{"one", "two", ""} {
		msg, err := nc.Request("service", []byte(text), deadline)
		if err != nil {
			return err
		}
		if string(msg.Data) != "re: "+text {
			return fmt.Errorf("request %q was answered %q", text, msg.Data)
		}
	}
	return nil
}

func checkRequestTimeout() error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	silent, err := nc.SubscribeSync("silent")
	if err != nil {
		return err
	}
	_, err = nc.Request("silent", []byte("anybody?"), 200*time.Millisecond)
	if !errors.Is(err, nats.ErrTimeout) {
		return fmt.Errorf("expected a timeout, got %v", err)
	}
	msg, err := silent.NextMsg(deadline)
	if err != nil || msg.Reply == "" {
		return fmt.Errorf("the responder saw %v, error %v", msg, err)
	}
	return nil
}

func checkNoResponders() error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = nc.Request("nobody.listens", []byte("hello?"), deadline)
	if !errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("expected no responders, got %v", err)
	}
	return nil
}

// gated returns a handler that blocks until the gate is closed, so that messages wait in the client
// when a drain begins.
func gated(gate chan struct{}, then func(*nats.Msg)) nats.MsgHandler {
	return func(msg *nats.Msg) {
		<-gate
		then(msg)
	}
}

func checkDrainSubscription() error {
	const count = 100
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	gate, closed := make(chan struct{}), make(chan struct{})
	handled := atomic.Int32{}
	sub, err := nc.Subscribe("drain.sub", gated(gate, func(*nats.Msg) { handled.Add(1) }))
	if err != nil {
		return err
	}
	sub.SetClosedHandler(func(string) { close(closed) })
	for range count {
		if err := nc.Publish("drain.sub", []byte("x")); err != nil {
			return err
		}
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	if err := sub.Drain(); err != nil {
		return err
	}
	if err := nc.Publish("drain.sub", []byte("late")); err != nil {
		return err
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	close(gate)
	select {
	case <-closed:
	case <-time.After(deadline):
		return errors.New("the drain did not end")
	}
	if handled.Load() != count {
		return fmt.Errorf("%d messages handled of %d", handled.Load(), count)
	}
	return nil
}

func checkDrainConnection() error {
	const count = 100
	watcher, err := connect()
	if err != nil {
		return err
	}
	defer watcher.Close()
	done, err := watcher.SubscribeSync("drain.done")
	if err != nil {
		return err
	}
	if err := watcher.FlushTimeout(deadline); err != nil {
		return err
	}
	gate, closed := make(chan struct{}), make(chan struct{})
	nc, err := connect(nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = nc.Subscribe("drain.conn", gated(gate, func(msg *nats.Msg) {
		_ = nc.Publish("drain.done", msg.Data)
	}))
	if err != nil {
		return err
	}
	for i := range count {
		if err := nc.Publish("drain.conn", fmt.Append(nil, i)); err != nil {
			return err
		}
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	if err := nc.Drain(); err != nil {
		return err
	}
	close(gate)
	select {
	case <-closed:
	case <-time.After(deadline):
		return errors.New("the connection did not close")
	}
	_, err = next(done, count)
	return err
}

func checkAutoUnsubscribe() error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("auto")
	if err != nil {
		return err
	}
	if err := sub.AutoUnsubscribe(3); err != nil {
		return err
	}
	for range 5 {
		if err := nc.Publish("auto", nil); err != nil {
			return err
		}
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	if _, err := next(sub, 3); err != nil {
		return err
	}
	if _, err := sub.NextMsg(deadline); !errors.Is(err, nats.ErrMaxMessages) {
		return fmt.Errorf("a fourth message or another error: %v", err)
	}
	if sent := nc.Stats().InMsgs; sent != 3 {
		return fmt.Errorf("the server sent %d messages", sent)
	}
	return nil
}

func checkPayloadMax() error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	payload := patterned(payloadMax)
	_, err = nc.Subscribe("large.echo", func(msg *nats.Msg) { _ = msg.Respond(msg.Data) })
	if err != nil {
		return err
	}
	msg, err := nc.Request("large.echo", payload, deadline)
	if err != nil {
		return err
	}
	if !bytes.Equal(msg.Data, payload) {
		return errors.New("other bytes came back")
	}
	return nil
}

func checkPayloadOverMax() error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.Publish("large.over", patterned(payloadMax+1)); !errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("expected a refusal, got %v", err)
	}
	return roundTrip(nc, "large.after", []byte("still here"))
}

func checkPing() error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	rtt, err := nc.RTT()
	if err != nil {
		return err
	}
	if rtt <= 0 || rtt > deadline {
		return fmt.Errorf("round trip %v", rtt)
	}
	return nc.FlushTimeout(deadline)
}

func checkUserPassword() error {
	nc, err := nats.Connect(os.Getenv("NATS_USER_URL"),
		nats.UserInfo(os.Getenv("NATS_TEST_USER"), os.Getenv("NATS_TEST_PASS")))
	if err != nil {
		return err
	}
	defer nc.Close()
	return roundTrip(nc, "user", []byte("known"))
}

// Both show certificates of one authority.
func checkTLS() error {
	nc, err := nats.Connect(os.Getenv("NATS_TLS_URL"), nats.RootCAs(os.Getenv("NATS_TLS_CA")),
		nats.ClientCert(os.Getenv("NATS_TLS_CERT"), os.Getenv("NATS_TLS_KEY")))
	if err != nil {
		return err
	}
	defer nc.Close()
	return roundTrip(nc, "tls", []byte("known"))
}

func checkCertificateMap() error {
	nc, err := nats.Connect(os.Getenv("NATS_MAP_URL"), nats.RootCAs(os.Getenv("NATS_TLS_CA")),
		nats.ClientCert(os.Getenv("NATS_TLS_CERT"), os.Getenv("NATS_TLS_KEY")))
	if err != nil {
		return err
	}
	defer nc.Close()
	return roundTrip(nc, "map", []byte("known"))
}

// knownAndStranger expects one way of showing who one is to be let in, and the other refused.
func knownAndStranger(url string, known, stranger nats.Option) error {
	nc, err := nats.Connect(url, known)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := roundTrip(nc, "known", []byte("known")); err != nil {
		return err
	}
	wrong, err := nats.Connect(url, stranger)
	if err == nil {
		wrong.Close()
		return errors.New("a stranger was let in")
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		return fmt.Errorf("a stranger: %v", err)
	}
	return nil
}

func checkNKey() error {
	known, err := nats.NkeyOptionFromSeed(os.Getenv("NATS_NKEY_SEED"))
	if err != nil {
		return err
	}
	stranger, err := nats.NkeyOptionFromSeed(os.Getenv("NATS_NKEY_WRONG"))
	if err != nil {
		return err
	}
	return knownAndStranger(os.Getenv("NATS_NKEY_URL"), known, stranger)
}

func checkCreds() error {
	return knownAndStranger(os.Getenv("NATS_CREDS_URL"),
		nats.UserCredentials(os.Getenv("NATS_CREDS")),
		nats.UserCredentials(os.Getenv("NATS_CREDS_WRONG")))
}

func checkToken() error {
	nc, err := nats.Connect(os.Getenv("NATS_TOKEN_URL"), nats.Token(os.Getenv("NATS_TEST_TOKEN")))
	if err != nil {
		return err
	}
	defer nc.Close()
	return roundTrip(nc, "token", []byte("known"))
}

func checkWrongCredentials() error {
	userURL, tokenURL := os.Getenv("NATS_USER_URL"), os.Getenv("NATS_TOKEN_URL")
	attempts := []struct {
		what, url string
		options   []nats.Option
	}{
		{"wrong password", userURL, []nats.Option{nats.UserInfo(os.Getenv("NATS_TEST_USER"), "wrong")}},
		{"unknown user", userURL, []nats.Option{nats.UserInfo("nobody", os.Getenv("NATS_TEST_PASS"))}},
		{"no password", userURL, nil},
		{"wrong token", tokenURL, []nats.Option{nats.Token("wrong")}},
		{"no token", tokenURL, nil},
	}
	for _, attempt := range attempts {
		nc, err := nats.Connect(attempt.url, attempt.options...)
		if err == nil {
			nc.Close()
			return fmt.Errorf("%s was let in", attempt.what)
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			return fmt.Errorf("%s: %v", attempt.what, err)
		}
	}
	return nil
}

// unixDialer sends every connection to one Unix socket, whatever the URL says.
type unixDialer struct{ path string }

func (d unixDialer) Dial(_, _ string) (net.Conn, error) {
	return net.DialTimeout("unix", d.path, deadline)
}

func checkUnixSocket() error {
	nc, err := connect(nats.SetCustomDialer(unixDialer{os.Getenv("NATS_UNIX_PATH")}))
	if err != nil {
		return err
	}
	defer nc.Close()
	tcp, err := connect()
	if err != nil {
		return err
	}
	defer tcp.Close()
	sub, err := nc.SubscribeSync("unix.*")
	if err != nil {
		return err
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	if err := tcp.Publish("unix.fromtcp", []byte("across")); err != nil {
		return err
	}
	if _, err := next(sub, 1); err != nil {
		return err
	}
	return roundTrip(nc, "unixlarge", patterned(payloadMax))
}

// restartServer asks run.py to stop the server and start it again on the same port, and returns
// when it has.
func restartServer() error {
	fmt.Println("RESTART")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return err
	}
	if line != "RESTARTED\n" {
		return fmt.Errorf("the runner answered %q", line)
	}
	return nil
}

// watchedConnect connects and returns channels that report each disconnect and each reconnect.
func watchedConnect() (*nats.Conn, chan struct{}, chan struct{}, error) {
	lost, back := make(chan struct{}, 100), make(chan struct{}, 100)
	nc, err := connect(nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }),
		nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	return nc, lost, back, err
}

func checkRestart() error {
	nc, lost, back, err := watchedConnect()
	if err != nil {
		return err
	}
	defer nc.Close()
	other, otherLost, otherBack, err := watchedConnect()
	if err != nil {
		return err
	}
	defer other.Close()
	plain, err := nc.SubscribeSync("restart.*")
	if err != nil {
		return err
	}
	queue, err := nc.QueueSubscribeSync("restart.>", "workers")
	if err != nil {
		return err
	}
	if _, err := nc.Subscribe("again", func(msg *nats.Msg) { _ = msg.Respond(nil) }); err != nil {
		return err
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	// The first request makes the inbox subscription that has to survive.
	if _, err := other.Request("again", nil, deadline); err != nil {
		return err
	}
	if err := restartServer(); err != nil {
		return err
	}
	for _, event := range []chan struct{}{lost, back, otherLost, otherBack} {
		select {
		case <-event:
		case <-time.After(deadline):
			return errors.New("no disconnect or no reconnect was reported")
		}
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	if err := other.Publish("restart.after", nil); err != nil {
		return err
	}
	for _, sub := range []*nats.Subscription{plain, queue} {
		if _, err := next(sub, 1); err != nil {
			return err
		}
	}
	if _, err := other.Request("again", nil, deadline); err != nil {
		return err
	}
	if extra, _, _ := plain.Pending(); extra != 0 {
		return fmt.Errorf("%d messages too many", extra)
	}
	return nil
}
