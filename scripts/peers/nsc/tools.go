//go:build tools

// The program that operators of NATS make keys and tokens with, in the version that tests run.
package tools

import _ "github.com/nats-io/nsc/v2"
