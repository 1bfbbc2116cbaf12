//go:build tools

// Package tools names the command that scripts/peers.sh builds from the versions in go.mod.
package tools

import _ "github.com/nats-io/natscli/nats"
