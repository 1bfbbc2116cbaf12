# Everything a person types. CMake does the building; scripts/deps.sh brings what is missing.
BUILD   ?= build
PREFIX  ?= /usr/local
# tests at a time: they wait more than they work
JOBS    ?= $(shell echo $$(($$(nproc) + 1)))
DESTDIR ?=
export CTEST_OUTPUT_ON_FAILURE = 1

SHELL = /bin/bash

.PHONY: all run test clients bench bench-quick asan tsan fuzz fuzz-smoke peers page install format clean torture

all: $(BUILD)/build.ninja
	cmake --build $(BUILD)

# configured anew when a package that was missing has been installed
$(BUILD)/build.ninja: scripts/deps.sh
	scripts/deps.sh
	cmake -S . -B $(BUILD) -G Ninja $(if $(CI),-DPIPIT_WERROR=ON)

run: all
	$(BUILD)/pipit-server

test: all
	ctest --test-dir $(BUILD) -LE clients -j $(JOBS)

# the real clients of six languages and the nats CLI, unmodified
clients: all peers
	tests/clients/install.sh
	ctest --test-dir $(BUILD) -L clients -j $(JOBS)

peers:
	scripts/peers.sh

# what pipit-server shows browsers, made of web/page: after a change there
page:
	cd web && npm ci --no-audit --no-fund && node build.mjs

# t2_checks: the original T2 Bus, for those who have run `make clients`; optimised when it is compared
T2_CHECKS = $(BUILD)/clients/t2_rust/release/t2_checks
# MESSAGE_BROKER: a server of willdot/message-broker that takes the address to listen on
MESSAGE_BROKER = $(BUILD)/peers/bin/message-broker
bench: all peers
	bench/compare.py
	bench/fanout.py
	bench/broker.py $(if $(wildcard $(MESSAGE_BROKER)),--original=$(MESSAGE_BROKER))
	[ ! -d $(BUILD)/clients/t2_rust ] || tests/clients/t2_rust/run.py --compare
	$(BUILD)/pipit-bench-memory $$([ ! -x $(T2_CHECKS) ] || echo --t2=$(T2_CHECKS))
	$(BUILD)/pipit-bench-store

bench-quick: all peers
	bench/compare.py --quick

asan:
	scripts/deps.sh
	cmake -S . -B $(BUILD)-asan -G Ninja -DPIPIT_SANITIZE=address,undefined \
	    $(if $(CI),-DPIPIT_WERROR=ON)
	cmake --build $(BUILD)-asan
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	    ctest --test-dir $(BUILD)-asan -LE clients -j $(JOBS)

# threads are what it looks at: units, the process, order across loops, life, transcripts on four loops, layers,
# doors beside NATS, libpipit's client, the store's writers, an official client
TSAN_TESTS = ^(unit\.|process\.|fault\.(ordering|sub_pong|life|fanout)|protocol\.threads|tls\.|websocket\.|fanout\.|t2\.|message_broker\.|client\.|store\.(life|ahead)|clients\.nats_c$$)
# units that take seconds each there and have one thread: their programs must not know how to start another
TSAN_ALONE = backlog config_document config_load consumer jwt nats_reader_random nats_sids outbox outlet \
    permission_model share_model sublist t2_reader t2_topic tls_identity token_map
space := $(subst ,, )
tsan:
	scripts/deps.sh
	cmake -S . -B $(BUILD)-tsan -G Ninja -DPIPIT_SANITIZE=thread \
	    $(if $(CI),-DPIPIT_WERROR=ON)
	cmake --build $(BUILD)-tsan
	for unit in $(TSAN_ALONE); do \
	    symbols=$$(nm -u $(BUILD)-tsan/tests/unit/test_$$unit) || exit 1; \
	    case $$symbols in *pthread_create*) echo "unit.$$unit: not in TSAN_ALONE"; exit 1;; esac; \
	done
	TSAN_OPTIONS=halt_on_error=1 \
	    ctest --test-dir $(BUILD)-tsan -R '$(TSAN_TESTS)' \
	    -E '^unit\.($(subst $(space),|,$(strip $(TSAN_ALONE))))$$' -j $(JOBS)

# the store's tests, and kills of the server, long: TORTURE=0.01 for a look, 1 takes hours; SEED=N does the same again
TORTURE ?= 1
torture: all
	tests/store/torture.py $(BUILD) --scale $(TORTURE) $(if $(SEED),--seed $(SEED)) \
	    --report $(BUILD)/torture.md
	PIPIT_SERVER=$(BUILD)/pipit-server $(if $(SEED),PIPIT_SEED=$(SEED)) \
	    PIPIT_ROUNDS=$$(python3 -c 'print(max(50, round(1000 * $(TORTURE))))') \
	    PIPIT_REPORT=$(BUILD)/torture.md \
	    python3 tests/message_broker/test_durable.py test_killed_while_publishing

# FUZZ_SECONDS for each target; new inputs are kept in $(BUILD)-fuzz/corpus
FUZZ_SECONDS ?= 600
fuzz:
	scripts/deps.sh fuzz
	cmake -S . -B $(BUILD)-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DPIPIT_FUZZ=ON \
	    -DPIPIT_SANITIZE=address,undefined -DPIPIT_TESTS=OFF
	cmake --build $(BUILD)-fuzz --target fuzz_targets
	scripts/fuzz.sh $(BUILD)-fuzz $(FUZZ_SECONDS)

fuzz-smoke:
	$(MAKE) fuzz FUZZ_SECONDS=4

install: all
	DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX)

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz
