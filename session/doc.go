// Package session is the replicated table of sessions, what makes writes exactly-once (each session's window of decided requests), and what
// finds the sessions whose owners are silent.
//
// A session is born of a transaction, whose zxid is its id. It is the own session of one run of one member, or that of a client, which a member serves
// until the client resumes it at another: a transaction that raises its generation. Its requests are numbered
// 1, 2, 3, ... within a generation and are decided in that order, without gaps. The window keeps what was decided of the
// numbers from Low on; the owner raises Low when it has received the answers below. So a request that is sent again, to a
// new leader or by a new link, is found here and never judged a second time; and one of a former generation is never judged at all.
//
// Who resumes a session shows its password, which follows from its id by the ensemble's [Key]. Silence for its timeout ends a session: that is for the leader
// alone to find ([Table.Lead]), and for a transaction to do.
//
// # Contract
//
// Open, OpenFor, Move, Close, SetKey and Decide apply committed transactions: all members call them with the same arguments in the same order, and have
// equal tables, which [Table.Digest] tells. What begins with Fresh or Claim, and Abandon, are the leader's speculation, which looks ahead over
// transactions that are proposed and not committed; it is no part of the replicated state, of its digest or of its encoding. Nor are the timeouts of a leader.
//
// A Table is a value without goroutine, lock or clock, for one goroutine at a time. It is bounded: at most [MaxSessions]
// sessions, at most [MaxWindow] entries in each window, and in an entry what the owner cannot know: no more than its request has bytes. A window holds
// what the owner has not raised Low over, so whoever bounds the bytes of its calls in flight bounds its window.
package session
