// Package sink is where events go. [Log] writes each as a line, [Queue] keeps a
// slow one from holding up the connections, [File] is a log file that can be
// rotated. [Metrics] counts them for Prometheus.
//
// # Guarantees
//
// [Queue.Emit] never blocks. What it accepts is handed on in the order of
// acceptance and nothing of it is lost; what it cannot accept is counted, and
// the gap is marked in the log by an [event.LogDropped] in the place of what is
// missing.
//
// [Log] writes whole lines, many to a write, and survives its writer: a reader
// that went away or a full disk costs lines, which are counted and reported, and
// nothing else. Whoever writes to standard output or standard error should
// ignore SIGPIPE, because the runtime ends a process that does not.
//
// Texts that come from outside (names in certificates, server names, errors)
// cannot forge a line or reach a terminal as a command, in either form:
// everything that is not printable is escaped.
//
// [Metrics] takes its label values from closed lists and the configuration, so
// that no client can make series. All events of one connection cost it about a
// microsecond, and no allocation (BenchmarkMetricsConnection).
//
// # What is left to others
//
// What is said and at which level is the vocabulary's matter (package event);
// whether the output is a terminal, how wide it is and whether it has colours is
// found out by the command.
package sink
