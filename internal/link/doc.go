// Package link turns frames that arrive as they like into streams that are in order, or reset.
//
// A transport may lose, repeat, reorder and delay frames, and keep old ones for years. Zab needs FIFO channels. A [Link] stands between
// the two, one for each peer: what it delivers of one class between Up and Reset is exactly a prefix of what the peer has sent of that class in that
// stream. It is a value: bytes go in, bytes come out. No clock, goroutine, lock or random number of its own.
//
// # Streams and nonces
//
// A stream is named by two numbers of 128 bits, one drawn by each side. A side's number is used for one stream only; the one that it
// has drawn for its next stream is its candidate. Each side comes to a stream when it has seen the peer repeat its candidate: then the peer has spoken
// since the candidate was drawn, and nothing old can be the cause.
//
//	A  hello(a)       ->  B      B draws b, and stays as it is
//	A  <-  answer(b, a)   B      A sees a: stream (a, b) is up at A, and takes the place of the former one
//	A  confirm(a, b)  ->  B      B sees b: stream (a, b) is up at B
//	A  <-  ready(b, a)    B      A need not repeat its confirm
//
// Both sides may begin at once; each then answers the other's hello, both come to the same stream, and it costs no more trips. A frame
// of data of (a, b) that overtakes the confirm does the same as the confirm. A hello that is repeated years later draws an answer that
// nobody waits for: an answer which does not repeat the receiver's candidate changes nothing.
//
// # Data
//
// A frame of data carries the first 8 bytes of both numbers, the sender's first, and a sequence number of its class.
// What came before is dropped. A gap resets the link if the class is Log or Bulk; on Control a gap is allowed and what is newer is taken. A
// frame of any other stream is dropped. It is answered by unknown(b, a), at most one a tick, when it belongs neither to the stream that
// is up nor to the candidate: so this side will never be in that stream (again), whatever comes, and the peer, if it still is, resets and opens anew.
// That makes a repeat of unknown harmless: it can only end a stream that is dead on the other side.
//
// A frame of Control carries the last sequence numbers sent of Log and Bulk. If one of them is missing and nothing of its class has come for
// [Config].StallTicks, the end of the stream is lost, and the link resets. So a loss is found as long as there are heartbeats, even if nothing else is sent.
//
// # Faults
//
// A loss is put right by opening anew at once. A peer that says what it must not say will do so again: after a [Link.Fault] this side keeps still for a while,
// longer each time, with jitter, up to a few seconds, until a stream has lasted. It answers no handshake meanwhile; frames of dead streams it does.
//
// # Two sides of a restart
//
// A peer that restarts says hello with a new number. The stream of its former life stays up at this side until the new exchange is complete, and
// then Output has Reset and Up together. All three of the frames of an exchange state the format's version, both members' ids and the ensemble's name, id
// and membership; if they do not fit, the frame is answered by refuse, which repeats the number that it refuses, and both sides say why.
package link
