#!/usr/bin/env python3
"""Compare pipit with nats-server, or one pipit with another, scenario by scenario.

Each round starts a server afresh with default settings on a free port, lets pipit-bench measure it
and stops it; then the other server has its turn: A B A B, so that what else the machine does hits
both. Printed are medians, and ratios of medians with the smallest and largest ratio of a round.

A ratio is always "how many times better": messages per second are divided one way, latencies and
costs the other. Above 1 the first column is the better one.

    bench/compare.py                          pipit against nats-server: all of it, 10 to 15 minutes
    bench/compare.py --quick                  the same in about 2 minutes; rough
    bench/compare.py --scenario '^1:1'        some of it
    bench/compare.py --a OLD --b NEW          two pipit-server binaries, before and after a change
    bench/compare.py --threads-compare        pipit with two loops and with one
"""
import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests/support")]  # wherever it is called from
import chart  # noqa: E402
from figures import amount, digits  # noqa: E402
from ports import quiet_port  # noqa: E402

START_TIMEOUT_S = 20
RUN_TIMEOUT_S = 180


@dataclasses.dataclass
class Metric:
    """One figure of a scenario: where it is in pipit-bench's report, and what it must be."""
    key: str
    label: str
    unit: str
    more_is_better: bool = False
    ratio_target: float = 0      # times better than the other server; 0: none
    ratio_open: bool = False     # strictly better is enough
    limit: float = 0             # the first server's own figure; 0: none


@dataclasses.dataclass
class Scenario:
    title: str
    arguments: list              # of pipit-bench
    metrics: list
    seconds: float = 0           # --seconds of the full run; 0: the scenario ends by itself
    quick: list = dataclasses.field(default_factory=list)  # further arguments of the quick run
    group: str = "speed"
    accounts: int = 0            # in the configuration, with ten users each
    key: str = "P-256"           # of the server's certificate


def flow(title, arguments, throughput, cpu, extra=(), seconds=2):
    metrics = [
        Metric("msgs_per_s", "throughput", "/s", True, throughput),
        Metric("server_cpu_s_per_million", "CPU", "s/M", False, cpu),
    ]
    return Scenario(title, arguments.split(), metrics + list(extra), seconds)


def handshakes(key):
    metrics = [Metric("msgs_per_s", "handshakes", "/s", True, 1.5),
               Metric("server_cpu_s_per_million", "CPU", "s/M", False)]
    return Scenario(f"TLS handshakes, {key}", "handshake --tls --pubs 4".split(), metrics, 2,
                    group="tls", key=key)


def latency(quantile, **target):
    return Metric(f"latency_{quantile}_us", quantile.replace("_", "."), "us", False, **target)


SCENARIOS = [
    flow("publish only, 16 B", "publish --size 16", 10, 13),
    flow("1:1, 16 B", "deliver --size 16", 8, 12),
    flow("1:1, 256 B", "deliver --size 256", 4, 5.5),
    flow("1:10, 16 B", "deliver --size 16 --subs 10", 7, 10),
    flow("1:100, 64 B", "deliver --size 64 --subs 100", 4.5, 6),
    flow("4:4 all to all, 64 B", "deliver --size 64 --pubs 4 --subs 4", 4.5, 6.5),
    flow("4:4 all to all, 64 B, 10 000 subjects",
         "deliver --size 64 --pubs 4 --subs 4 --subjects 10000", 5, 8),
    flow("4:4 in one queue group, 64 B",
         "deliver --size 64 --pubs 4 --subs 4 --groups 1", 8, 8),
    flow("1:1, 8 KiB", "deliver --size 8192", 1.5, 2.2),
    flow("1:1, 1 MB", "deliver --size 1000000", 1.8, 2.7),
    flow("WebSocket 1:1, 256 B", "deliver --websocket --size 256", 3, 3),
    flow("TLS 1:1, 256 B", "deliver --tls --size 256", 2, 3),
    handshakes("P-256"),
    handshakes("RSA-2048"),
    Scenario("1000 idle TLS connections", "handshake --tls --keep --connections 1000".split(),
             [Metric("bytes_per_connection", "memory per idle TLS connection", "B", limit=12 * 1024)],
             group="tls"),
    flow("request/reply, 1 in flight", "request --size 16", 1.3, 2.5,
         [latency("p50", ratio_target=1, ratio_open=True),
          latency("p99", ratio_target=1, ratio_open=True)]),
    flow("request/reply, 16 in flight", "request --size 16 --in-flight 16", 1.8, 2.2,
         [latency("p50"), latency("p99")]),
    Scenario("paced 50 k/s, 128 B", "paced --size 128 --rate 50000".split(),
             [latency("p50"), latency("p99", ratio_target=2),
              latency("p99_9"),
              # of these latencies: where it is most of them, the machine was too slow for the rate
              Metric("send_lag_p50_us", "sender late, p50", "us"),
              Metric("server_cpu_s_per_million", "CPU", "s/M", False, 3)], 3),
    Scenario("start", ["start", "--settle", "0.2"],
             [Metric("ready_ms", "exec to accepting", "ms", limit=3),
              Metric("server_rss_kib", "memory at start", "KiB", limit=4e6 / 1024)],
             group="start"),
    Scenario("start with 10 000 accounts, 100 000 users", ["start", "--settle", "0.2"],
             [Metric("ready_ms", "exec to accepting, 10 000 accounts", "ms",
                     limit=1000),
              Metric("server_rss_peak_kib", "most memory, 10 000 accounts", "KiB", limit=64e6 / 1024)],
             group="start", accounts=10000),
    Scenario("10 000 idle connections", ["idle", "--connections", "10000", "--settle", "3"],
             [Metric("bytes_per_connection", "memory per idle connection", "B", limit=1024),
              Metric("connections_per_s", "connects", "/s", True)],
             quick=["--connections", "5000", "--settle", "0.5"], group="memory"),
    Scenario("1 M subscriptions", ["churn", "--subscriptions", "1000000"],
             [Metric("bytes_per_subscription", "memory per subscription", "B", limit=160),
              Metric("sub_per_s", "SUB", "/s", True, limit=2e6),
              Metric("unsub_per_s", "UNSUB", "/s", True, limit=2e6)],
             quick=["--subscriptions", "200000"], group="memory"),
]

FAULTS = ("lost", "duplicated", "misordered", "disconnected", "unexpected")


@dataclasses.dataclass
class Server:
    """A server binary and the arguments that tell it from the one it is compared with."""
    name: str
    binary: str
    arguments: list = dataclasses.field(default_factory=list)

    def version(self):
        answer = subprocess.run([self.binary, "-v"], capture_output=True, text=True, check=False)
        return (answer.stdout + answer.stderr).strip()

    def command(self, port):
        return [self.binary, "-a", "127.0.0.1", "-p", str(port), *self.arguments]


class Failure(Exception):
    """A round that gave no figures; the text says why."""


def wait_until_accepting(process, port):
    give_up = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise Failure(f"the server ended with status {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as greeting:
                if greeting.recv(5) == b"INFO ":
                    return
        except OSError:
            time.sleep(0.005)
    raise Failure("the server does not accept")


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_bench(bench, arguments):
    """Run pipit-bench and return its report. Status 2 is a report too: of losses."""
    try:
        run = subprocess.run([bench, *arguments], capture_output=True, text=True,
                             timeout=RUN_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise Failure(f"no result within {RUN_TIMEOUT_S} s") from None
    if run.returncode not in (0, 2):
        raise Failure(run.stderr.strip() or f"pipit-bench ended with status {run.returncode}")
    return json.loads(run.stdout.splitlines()[-1])


KEYS = {"P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "RSA-2048": ["-newkey", "rsa:2048"]}


def make_tls(folder, kind):
    """The tls block for a fresh certificate with a key of that kind."""
    key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", *KEYS[kind], "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-keyout", key, "-out", certificate],
                   capture_output=True, check=True)
    return f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}\n'


def make_accounts(count):
    """The accounts block of so many, with ten users each."""
    lines = ["accounts {"]
    for account in range(count):
        users = ", ".join(f"{{user: user{account:05}_{user}, password: secret{account:05}_{user}}}"
                          for user in range(10))
        lines.append(f"  ACCOUNT{account:05} {{ users: [ {users} ] }}")
    return "\n".join([*lines, "}", ""])


def run_start(bench, server, arguments, port, accounts):
    """From exec until it accepts."""
    with tempfile.NamedTemporaryFile("w") as configuration:
        command = server.command(port)
        if accounts:
            configuration.write(make_accounts(accounts))
            configuration.flush()
            command += ["-c", configuration.name]
        return run_bench(bench, [*arguments, "--json", "--server", f"127.0.0.1:{port}", "--",
                                 *command])


def run_round(bench, server, arguments, accounts=0, key="P-256"):
    """One server, fresh, through one scenario."""
    port = quiet_port()
    target = ["--json", "--server", f"127.0.0.1:{port}"]
    if arguments[0] == "start":
        return run_start(bench, server, arguments, port, accounts)
    command = server.command(port)
    with (tempfile.TemporaryFile() as log, tempfile.NamedTemporaryFile("w") as configuration,
          tempfile.TemporaryDirectory() as folder):
        if "--tls" in arguments:
            configuration.write(make_tls(folder, key))
            configuration.flush()
            command += ["-c", configuration.name]
        if "--websocket" in arguments:
            websocket = quiet_port()
            target[-1] = f"127.0.0.1:{websocket}"
            configuration.write(f"websocket {{ host: 127.0.0.1, port: {websocket}, no_tls: true }}")
            configuration.flush()
            command += ["-c", configuration.name]
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except OSError as error:
            raise Failure(f"the server cannot be started: {error}") from None
        try:
            wait_until_accepting(process, port)
            return run_bench(bench, [*arguments, *target, "--pid", str(process.pid)])
        except Failure as failure:
            stop(process)
            log.seek(0)
            last = log.read().decode(errors="replace").splitlines()[-3:]
            raise Failure(" | ".join([str(failure), *last])) from None
        finally:
            stop(process)


def retarget(scenarios, options):
    """The targets are for pipit against nats-server. A second loop may cost 5 %; two versions of
    pipit have only the limits that hold for each."""
    if not (options.a or options.threads_compare):
        return
    for scenario in scenarios:
        for metric in scenario.metrics:
            metric.ratio_open = False
            metric.ratio_target = 0
            if options.threads_compare and metric.key == "msgs_per_s":
                metric.ratio_target = 0.95


def arguments_of(scenario, options):
    arguments = list(scenario.arguments)
    if scenario.seconds:
        arguments += ["--seconds", str(scenario.seconds * options.seconds_factor)]
    if options.quick:
        arguments += scenario.quick
    return arguments


def measure(scenario, servers, options):
    """All rounds of one scenario: the reports of each server, and the rounds that failed."""
    arguments = arguments_of(scenario, options)
    reports = [[], []]
    failures = []
    for number in range(options.rounds):
        for which, server in enumerate(servers):
            progress(f"{scenario.title}: round {number + 1} of {options.rounds}, {server.name}")
            try:
                reports[which].append(run_round(options.bench, server, arguments,
                                                scenario.accounts, scenario.key))
            except Failure as failure:
                failures.append(f"{server.name}, round {number + 1}: {failure}")
    progress("")
    return summarize(scenario, servers, arguments, reports, failures)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def ratio_of(metric, first, second):
    better, worse = (first, second) if metric.more_is_better else (second, first)
    return better / worse if worse > 0 and better > 0 else None


def reached(metric, value, ratio):
    """True, False, or None where there is no target or nothing to compare."""
    if metric.limit:
        return value >= metric.limit if metric.more_is_better else value <= metric.limit
    if not metric.ratio_target or ratio is None:
        return None
    return ratio > metric.ratio_target if metric.ratio_open else ratio >= metric.ratio_target


def target_text(metric):
    if metric.limit:
        sign = ">=" if metric.more_is_better else "<="
        return f"{sign} {amount(metric.limit, metric.unit)}"
    if not metric.ratio_target:
        return ""
    if metric.ratio_open:
        return "better"
    return f">= {metric.ratio_target:g}x"


def summarize_metric(metric, reports):
    values = [[report[metric.key] for report in each if metric.key in report] for each in reports]
    if not values[0] or not values[1]:
        return None
    medians = [statistics.median(each) for each in values]
    rounds = [ratio_of(metric, first, second) for first, second in zip(*values)]
    rounds = [ratio for ratio in rounds if ratio is not None]
    ratio = ratio_of(metric, *medians)
    return {
        "key": metric.key, "label": metric.label, "unit": metric.unit,
        "values": values, "medians": medians, "ratio": ratio,
        "ratio_min": min(rounds, default=None), "ratio_max": max(rounds, default=None),
        "target": target_text(metric), "reached": reached(metric, medians[0], ratio),
    }


def summarize(scenario, servers, arguments, reports, failures):
    faults = {}
    for server, each in zip(servers, reports):
        counts = {fault: sum(report.get(fault, 0) for report in each) for fault in FAULTS}
        faults[server.name] = {fault: count for fault, count in counts.items() if count}
    metrics = [summarize_metric(metric, reports) for metric in scenario.metrics]
    return {
        "title": scenario.title, "group": scenario.group,
        "command": " ".join(["pipit-bench", *arguments]),
        "metrics": [metric for metric in metrics if metric],
        "faults": faults, "failures": failures,
        "reports": {server.name: each for server, each in zip(servers, reports)},
    }


# ---- output ----

def ratio_text(metric):
    if metric["ratio"] is None:
        return "-"
    text = f"{digits(metric['ratio'])}x"
    if metric["ratio_min"] is not None:
        text += f" ({digits(metric['ratio_min'])}-{digits(metric['ratio_max'])})"
    return text


def reached_text(metric):
    return {True: "yes", False: "NO", None: ""}[metric["reached"]]


def metric_cells(result, metric):
    label = "CPU per million" if metric["label"] == "CPU" else metric["label"]
    return [result["title"], label, *(amount(value, metric["unit"]) for value in metric["medians"]),
            ratio_text(metric), metric["target"], reached_text(metric)]


def fault_lines(result):
    lines = [f"{result['title']}: {failure}" for failure in result["failures"]]
    for name, faults in result["faults"].items():
        if faults:
            listed = ", ".join(f"{count} {fault}" for fault, count in faults.items())
            lines.append(f"{result['title']}: {name}: {listed}")
    return lines


def print_table(results, servers):
    head = ["scenario", "figure", servers[0].name, servers[1].name, "ratio (min-max)", "target",
            "reached"]
    rows = [metric_cells(result, metric) for result in results for metric in result["metrics"]]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    previous = None
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = ["" if i == 0 and row[0] == previous else cell for i, cell in enumerate(row)]
        previous = row[0]
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
    for result in results:
        for line in fault_lines(result):
            print(f"! {line}")


def markdown(results, document):
    """The tables that the README includes: what is compared in pairs, then what has a limit."""
    names = document["servers"]
    lines = [f"Measured with `{document['command']}` on {document['machine']}; "
             f"{names[0]['version']} and {names[1]['version']}, default settings; medians of "
             f"{document['rounds']} interleaved rounds on {document['date'][:10]}. The load "
             "generator runs on the same cores. A ratio says how many times better "
             f"{names[0]['name']} is.", "",
             f"| scenario | {names[0]['name']}: msgs/s | {names[1]['name']}: msgs/s | ratio | "
             f"{names[0]['name']}: CPU s per million | {names[1]['name']}: CPU s per million | "
             "ratio |",
             "|---|--:|--:|--:|--:|--:|--:|"]
    others = []
    for result in results:
        metrics = {metric["key"]: metric for metric in result["metrics"]}
        pair = [metrics.pop("msgs_per_s", None), metrics.pop("server_cpu_s_per_million", None)]
        if any(pair):
            cells = [cell for metric in pair for cell in markdown_cells(metric)]
            lines.append(f"| {result['title']} | " + " | ".join(cells) + " |")
        others += [(result, metric) for metric in metrics.values()]
    if others:
        lines += ["", f"| | {names[0]['name']} | {names[1]['name']} | ratio |", "|---|--:|--:|--:|"]
    for result, metric in others:
        cells = [chart.label_of(result, metric), *markdown_cells(metric)]
        lines.append("| " + " | ".join(cells) + " |")
    faults = [line for result in results for line in fault_lines(result)]
    lines += [""] + [f"- {line}" for line in faults] if faults else \
        ["", "No message was lost or repeated in any round."]
    return "\n".join(lines) + "\n"


def markdown_cells(metric):
    """Two medians and their ratio; a unit that the column's head names is left out."""
    if not metric:
        return ["", "", ""]
    texts = [amount(value, metric["unit"]) for value in metric["medians"]]
    if metric["key"] in ("msgs_per_s", "server_cpu_s_per_million"):
        texts = [text.removesuffix("/s").removesuffix(" s").strip() for text in texts]
    return [*texts, f"**{digits(metric['ratio'])}x**" if metric["ratio"] else "-"]


def cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii",
                                                            errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def describe(servers, options, results):
    kernel = platform.release()
    model = cpu_model()
    count = os.cpu_count()
    return {
        "command": " ".join(["bench/compare.py", *map(shlex.quote, sys.argv[1:])]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "kernel": kernel, "cpu": model, "cpu_count": count,
        "machine": f"{count} cores ({model}), Linux {kernel.split('-')[0]}",
        "rounds": options.rounds, "load_at_start": options.load,
        "servers": [{"name": server.name, "version": server.version(),
                     "arguments": server.arguments} for server in servers],
        "results": results,
    }


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {os.path.relpath(path)}")


# ---- command line ----

def find_binary(path, what, advice):
    found = shutil.which(path)
    if not found:
        sys.exit(f"compare.py: {what} is not there: {path}; {advice}")
    return found


def find_peer():
    """nats-server where scripts/peers.sh puts it, else an installed one."""
    folder = os.environ.get("PIPIT_PEERS_DIR", ROOT / "build" / "peers" / "bin")
    brought = pathlib.Path(folder) / "nats-server"
    if not brought.exists() and shutil.which("nats-server"):
        return shutil.which("nats-server")
    return find_binary(str(brought), "nats-server", "scripts/peers.sh brings it")


def choose_servers(options):
    """The server in question first, then the one it is compared with."""
    build = "`make` builds it, or say where with --pipit"
    if options.a or options.b:
        if not (options.a and options.b):
            sys.exit("compare.py: --a and --b go together")
        return [Server("b", find_binary(options.b, "--b", "is it built?")),
                Server("a", find_binary(options.a, "--a", "is it built?"))]
    pipit = find_binary(options.pipit, "pipit-server", build)
    if options.threads_compare:
        return [Server("2 loops", pipit, ["--threads", "2"]),
                Server("1 loop", pipit, ["--threads", "1"])]
    return [Server("pipit", pipit), Server("nats-server", find_peer())]


def freeze(servers, folder):
    """Run copies, so that a build that goes on meanwhile does not change what is measured. A binary
    that needs its neighbours does not run elsewhere, and is used where it is."""
    for number, server in enumerate(servers):
        copy = f"{folder}/{number}-{os.path.basename(server.binary)}"
        shutil.copy(server.binary, copy)
        if subprocess.run([copy, "-v"], capture_output=True, check=False).returncode == 0:
            server.binary = copy


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="of each scenario and server (5; quick: 2)")
    parser.add_argument("--scenario", metavar="REGEX", help="only scenarios whose title matches")
    parser.add_argument("--list", action="store_true", help="list the scenarios and stop")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--a", metavar="PATH", help="a pipit-server: before")
    parser.add_argument("--b", metavar="PATH", help="a pipit-server: after")
    parser.add_argument("--threads-compare", action="store_true", help="two loops and one")
    parser.add_argument("--pipit", default=str(ROOT / "build" / "pipit-server"), metavar="PATH")
    parser.add_argument("--bench", default=str(ROOT / "build" / "pipit-bench"), metavar="PATH")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="where the chart goes")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="FILE",
                        help="where the tables go")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds_factor = 0.4 if options.quick else 1
    return options


def choose_files(options):
    """Only the whole comparison with nats-server replaces the published results."""
    whole = not (options.quick or options.scenario or options.a or options.threads_compare)
    results = ROOT / "bench" / "results"
    kind = "a-b" if options.a else "threads" if options.threads_compare else "partial"
    options.json = options.json or results / ("latest.json" if whole else f"{kind}.json")
    if whole:
        options.svg = options.svg or ROOT / "docs" / "bench.svg"
        options.markdown = options.markdown or ROOT / "docs" / "bench.md"


def main():
    options = parse_options()
    chosen = [scenario for scenario in SCENARIOS
              if re.search(options.scenario or "", scenario.title)]
    if options.list:
        print("\n".join(f"{scenario.title:40} {' '.join(scenario.arguments)}"
                        for scenario in chosen))
        return
    if not chosen:
        sys.exit("compare.py: no scenario matches; --list shows them")
    options.bench = find_binary(options.bench, "pipit-bench", "`make` builds it")
    choose_files(options)
    options.load = os.getloadavg()[0]
    if options.load > 1:
        print(f"! The machine is busy (load {options.load:.1f}): expect noise.")
    retarget(chosen, options)
    servers = choose_servers(options)
    with tempfile.TemporaryDirectory() as folder:
        freeze(servers, folder)
        results = [measure(scenario, servers, options) for scenario in chosen]
        document = describe(servers, options, results)
    print_table(results, servers)
    write(options.json, json.dumps(document, indent=1) + "\n")
    if options.svg:
        write(options.svg, chart.draw(document))
    if options.markdown:
        write(options.markdown, markdown(results, document))
    if any(result["failures"] for result in results):
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
