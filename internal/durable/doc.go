// Package durable keeps what a member must not forget: its log (internal/wal) and the snapshots beside it (snapshot), so that each makes up for what the
// other has let go of. It says in which order the two are written, and what of them a member begins with.
package durable
