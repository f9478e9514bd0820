// Package tcp is a transport.Transport over TCP, with TLS 1.3 and a certificate for each member.
//
// A member has one listening port, and to each other member three connections, one for each class, so that a snapshot (Bulk) does not
// delay a heartbeat (Control). The three live and die together: they are a bundle, and what breaks one of them ends all. An
// ensemble's links treat a loss in one class as a loss in all, so a half of a bundle is good for nothing.
//
// # Who is speaking
//
// TLS proves that the other side holds a certificate of the ensemble's CA; the certificate says for which member it speaks, and for one only ([Config].Identify,
// or the rule described there). The dialler names both members in its first bytes. The acceptor compares them with the
// certificate and with itself before it believes anything, and the dialler has looked at the acceptor's certificate before it has sent any.
//
// # Life of a connection
//
//	dialler                                 acceptor
//	connecting  -- TCP, TLS ----------->    waiting     at most 64 of these, 5 s each; the oldest of the most frequent address gives way
//	committed   -- hello -------------->    judging     certificate, version, ids, tie-break
//	            <-- answer -------------    admitted, or closed
//	admitted    <== frames ============>    admitted
//
// A bundle begins with its Control connection. When that is admitted its dialler opens the other two, whose hellos name the bundle by
// run and number; no other may join it. Each step has a deadline. Once admitted, a connection is lost when it is closed, when nothing comes for 15 seconds
// (an idle side sends 4 bytes every 5), when the other side takes nothing for 10, when a length is beyond MaxFrame, or when what waits to be sent
// on it is more than its queue holds. Then the whole bundle is closed, the Handler is told once that the peer may be lost, what waited is dropped, and the
// dialling begins anew.
//
// # One bundle of two
//
// Each side dials whenever it has no bundle, so both may dial at once. Exactly one bundle survives, the one dialled by the
// larger id, by these rules, each applied in one piece:
//
//  1. A dial that is about to say hello is committed, unless a bundle was admitted in the meantime: then it is given up.
//  2. The first hello that comes while the own dial is committed is refused if the own id is the larger ("crossed"). In every other case it is
//     admitted, and the own dial, committed or not, is given up. A second one tells that the own dial has not arrived: it may be half open.
//  3. A dial that was given up ignores its answer.
//
// Of two committed dials the larger side refuses and the smaller side admits. If the larger side's dial is not yet committed when the other's hello comes,
// it never will be. A dial that hangs, and has refused the other side meanwhile, leaves it room afterwards: the next one waits for twice the longest pause.
//
// # What is old
//
// Each start of a transport draws a run number, and counts its dials. A hello carries run and number of its dial; an answer carries the acceptor's
// run and the number of its latest dial, which is thereby void. A hello is refused ("stale") if its run is the one last heard of and its
// number is not above the last that was used or declared void. So a hello which has waited in a socket while its sender went on changes nothing.
//
// A hello that is not stale says that its sender has no bundle any more: whatever this side still holds is half open or of a
// former life of the peer, and is replaced at once, not when keep-alive finds out. That makes a hello of a former run, which a stopped acceptor
// reads after that of the present run, cost one more dial: its connection is dead, ends, and nothing else was believed.
//
// # Formats
//
// All numbers are big-endian. Hello and answer have one form:
//
//	"ensemble" 8 | version 2 | length of the rest 2 | kind 1 | class 1 | verdict 1 | from 8 | to 8 | run 8 | dial 8
//
// The version of a hello is the highest that its sender speaks, that of the answer is the one to be used. A longer rest belongs to a later version, and what is behind the
// known fields is skipped. After that come frames, each a length of 4 bytes and as many bytes. The length ffffffff stands alone and means that the sender is alive.
//
// # Memory and goroutines
//
// Per bundle: three connections with two goroutines each; for each connection a buffer of 64 KiB to read into, one of the size of a frame while that is longer, and with TLS two
// that grow to what is written at once; and queues of at most 1 MiB (Control), 16 MiB (Log) and 16 MiB (Bulk). A full queue of Control drops its oldest
// frame. One goroutine for each other member, one that accepts, and one for each connection that is waiting. Ids that are not among the peers hold at most 64 bundles.
package tcp
