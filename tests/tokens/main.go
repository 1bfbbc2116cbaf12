// tokens makes keys and tokens with the libraries that NATS's own tools are made of.
//
// It reads requests, one JSON object per line, and answers each with one line:
//
//	{"make": "key", "kind": "A"}                  -> {"seed": "SA...", "public": "A..."}
//	{"make": "account", "seed": "SO...", "claims": {...}} -> {"token": "eyJ..."}
//	{"make": "creds", "token": "eyJ...", "seed": "SU..."} -> {"text": "-----BEGIN..."}
//	{"make": "sig", "seed": "SU...", "text": "nonce"}     -> {"sig": "..."}
//
// Claims are what the token's payload says, over what the library has for a new one. "iat" is set by
// the library; "at" in the request overrides it, with a signature made anew.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

type request struct {
	Make    string          `json:"make"`
	Kind    string          `json:"kind"`
	Seed    string          `json:"seed"`
	Subject string          `json:"subject"`
	Claims  json.RawMessage `json:"claims"`
	Token   string          `json:"token"`
	Text    string          `json:"text"`
	At      int64           `json:"at"`
}

var prefixes = map[string]nkeys.PrefixByte{
	"O": nkeys.PrefixByteOperator, "A": nkeys.PrefixByteAccount, "U": nkeys.PrefixByteUser,
	"N": nkeys.PrefixByteServer, "C": nkeys.PrefixByteCluster, "X": nkeys.PrefixByteCurve,
}

func claimsOf(kind, subject string) jwt.Claims {
	switch kind {
	case "operator":
		return jwt.NewOperatorClaims(subject)
	case "account":
		return jwt.NewAccountClaims(subject)
	case "user":
		return jwt.NewUserClaims(subject)
	case "scoped":
		claims := jwt.NewUserClaims(subject)
		claims.SetScoped(true)
		return claims
	case "activation":
		return jwt.NewActivationClaims(subject)
	case "response":
		return jwt.NewAuthorizationResponseClaims(subject)
	}
	return jwt.NewGenericClaims(subject)
}

// Sign a payload anew with another "iat".
func redate(token string, pair nkeys.KeyPair, at int64) (string, error) {
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		return "", err
	}
	fields["iat"] = at
	payload, err = json.Marshal(fields)
	if err != nil {
		return "", err
	}
	text := parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload)
	sig, err := pair.Sign([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), err
}

func answer(r request) (map[string]string, error) {
	if r.Make == "key" {
		pair, err := nkeys.CreatePair(prefixes[r.Kind])
		if err != nil {
			return nil, err
		}
		seed, _ := pair.Seed()
		public, err := pair.PublicKey()
		return map[string]string{"seed": string(seed), "public": public}, err
	}
	if r.Make == "creds" {
		text, err := jwt.FormatUserConfig(r.Token, []byte(r.Seed))
		return map[string]string{"text": string(text)}, err
	}
	pair, err := nkeys.FromSeed([]byte(r.Seed))
	if err != nil {
		return nil, err
	}
	if r.Make == "sig" {
		sig, err := pair.Sign([]byte(r.Text))
		return map[string]string{"sig": base64.RawURLEncoding.EncodeToString(sig)}, err
	}
	claims := claimsOf(r.Make, r.Subject)
	if len(r.Claims) > 0 {
		if err := json.Unmarshal(r.Claims, claims); err != nil {
			return nil, err
		}
	}
	token, err := claims.Encode(pair)
	if err == nil && r.At != 0 {
		token, err = redate(token, pair, r.At)
	}
	return map[string]string{"token": token}, err
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var r request
		err := json.Unmarshal(in.Bytes(), &r)
		var out map[string]string
		if err == nil {
			out, err = answer(r)
		}
		if err != nil {
			out = map[string]string{"error": err.Error()}
		}
		line, _ := json.Marshal(out)
		fmt.Println(string(line))
	}
}
