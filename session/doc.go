// Package session is the replicated table of sessions, and what makes writes exactly-once: each session's window of
// decided requests.
//
// A session is born of a transaction, whose zxid is its id, and belongs to one run of one member. Its requests are numbered
// 1, 2, 3, ... within a generation and are decided in that order, without gaps. The window keeps what was decided of the
// numbers from Low on; the owner raises Low when it has received the answers below. So a request that is sent again, to a
// new leader or by a new link, is found here and never judged a second time.
//
// # Contract
//
// Open and Decide apply committed transactions: all members call them with the same arguments in the same order, and have
// equal tables, which [Table.Digest] tells. Fresh, Claim, ClaimOpen and Abandon are the leader's speculation, which looks ahead over
// transactions that are proposed and not committed; it is no part of the replicated state, of its digest or of its encoding.
//
// A Table is a value without goroutine, lock or clock, for one goroutine at a time. It is bounded: at most [MaxSessions]
// sessions, at most [MaxWindow] entries in each window, and in an entry what the owner cannot know: no more than its request has bytes. A window holds
// what the owner has not raised Low over, so whoever bounds the bytes of its calls in flight bounds its window.
package session
