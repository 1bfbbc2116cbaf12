//go:build tools

// The programs that read the monitoring port, in the versions that tests run.
package tools

import (
	_ "github.com/nats-io/nats-top"
	_ "github.com/nats-io/prometheus-nats-exporter"
)
