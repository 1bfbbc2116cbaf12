package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// service decides who may come in, as the NATS documentation shows one: requests and answers are
// sealed, and tokens are made by NATS's own library.
type service struct {
	issuer, box nkeys.KeyPair
	failures    chan error
}

func keyOf(variable string, from func([]byte) (nkeys.KeyPair, error)) (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(os.Getenv(variable))
	if err != nil {
		return nil, err
	}
	return from(seed)
}

func newService() (*service, error) {
	issuer, err := keyOf("NATS_CALLOUT_SEED", nkeys.FromSeed)
	if err != nil {
		return nil, err
	}
	box, err := keyOf("NATS_CALLOUT_XKEY", nkeys.FromCurveSeed)
	if err != nil {
		return nil, err
	}
	return &service{issuer: issuer, box: box, failures: make(chan error, 100)}, nil
}

func (s *service) handle(msg *nats.Msg) {
	if err := s.answer(msg); err != nil {
		s.failures <- err
	}
}

func (s *service) answer(msg *nats.Msg) error {
	server := msg.Header.Get("Nats-Server-Xkey")
	plain, err := s.box.Open(msg.Data, server)
	if err != nil {
		return err
	}
	request, err := jwt.DecodeAuthorizationRequestClaims(string(plain))
	if err != nil {
		return err
	}
	answer := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	answer.Audience = request.Server.ID
	if strings.HasPrefix(request.ConnectOptions.Username, "guest") && request.ConnectOptions.Password == "welcome" {
		answer.Jwt, err = s.user(request)
	} else {
		answer.Error = "not on the list"
	}
	if err != nil {
		return err
	}
	token, err := answer.Encode(s.issuer)
	if err != nil {
		return err
	}
	sealed, err := s.box.Seal([]byte(token), server)
	if err != nil {
		return err
	}
	return msg.Respond(sealed)
}

func (s *service) user(request *jwt.AuthorizationRequestClaims) (string, error) {
	user := jwt.NewUserClaims(request.UserNkey)
	user.Audience = "GUESTS"
	user.Name = request.ConnectOptions.Username
	user.Permissions.Pub.Allow.Add("open.>", "$SYS.REQ.USER.INFO")
	var problems jwt.ValidationResults
	if user.Validate(&problems); problems.IsBlocking(true) {
		return "", problems.Errors()[0]
	}
	return user.Encode(s.issuer)
}

func callAsGuest(url string) error {
	refusals := make(chan error, 10)
	nc, err := nats.Connect(url, nats.UserInfo("guest1", "welcome"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refusals <- err }))
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := roundTrip(nc, "open.door", []byte("hello")); err != nil {
		return err
	}
	who, err := nc.Request("$SYS.REQ.USER.INFO", nil, deadline)
	if err != nil {
		return err
	}
	if text := string(who.Data); !strings.Contains(text, `"account":"GUESTS"`) || !strings.Contains(text, `"user":"guest1"`) {
		return fmt.Errorf("it is %s", text)
	}
	if err := nc.Publish("closed", nil); err != nil {
		return err
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	select {
	case err := <-refusals:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			return err
		}
		return nil
	case <-time.After(deadline):
		return errors.New("nothing was refused")
	}
}

func checkCallout() error {
	url := os.Getenv("NATS_CALLOUT_URL")
	s, err := newService()
	if err != nil {
		return err
	}
	nc, err := nats.Connect(url, nats.UserInfo("service", "service"))
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := nc.QueueSubscribe("$SYS.REQ.USER.AUTH", "services", s.handle); err != nil {
		return err
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		return err
	}
	result := callAsGuest(url)
	stranger, err := nats.Connect(url, nats.UserInfo("guest1", "wrong"))
	if err == nil {
		stranger.Close()
		result = errors.Join(result, errors.New("a stranger was let in"))
	} else if !errors.Is(err, nats.ErrAuthorization) {
		result = errors.Join(result, err)
	}
	select {
	case err := <-s.failures:
		return errors.Join(result, err)
	default:
		return result
	}
}
