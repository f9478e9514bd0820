// Bench runs one workload against several systems inside one process and prints what each of them reaches.
//
// The workload: three members, 1000 keys, values of 128 bytes, and 1, 64 or 512 callers at the leader. Each caller writes to a random key, waits
// for its own answer and goes on. The systems are Ensemble, and hashicorp/raft with a map as its state machine, once with its default configuration
// and once tuned for throughput; with -config in memory, over TCP on loopback (plain text, both), with a log on disk that is synced before a
// write is acknowledged (raft: raft-wal), or both.
//
// The machine drifts while it measures, so the systems alternate: each round opens a fresh cluster of every system in turn for each number of
// callers, and each round begins with another system. What is printed are medians over the rounds; compare rows of one run, never of two.
// After each measurement the members must agree on the content, or the run fails.
package main
