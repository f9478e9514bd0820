// Package quorum says which sets of members are quorums, and how far a quorum has come. It is arithmetic: no clock, no
// goroutine, no I/O, and it imports nothing else of this module.
//
// [New] makes a [Verifier] from a membership, by one of two rules:
//
//   - Majority, when every Group is 0: a quorum is more than half of the voters.
//   - Hierarchical, otherwise: a group is won by more than half of its weight, and a quorum is whatever wins more than
//     half of the groups. A group whose weights are all zero is not counted among the groups. Nine voters in three groups
//     have quorums of four, and survive the loss of a whole group plus one voter in each of the others.
//
// [Joint] combines the rules of two memberships while one replaces the other: a quorum is a quorum of both.
//
// What every Verifier promises, and what the protocols above rest on:
//
//   - Any two of its quorums have a voter in common. (Of a joint one: also with any quorum of either side.)
//   - A superset of a quorum is a quorum.
//   - Observers are never counted, and neither is anyone else who is not a voter, whatever they acknowledge.
//   - Position(acked) is the greatest p for which Contains(acked >= p): what was acknowledged up to it is committed.
//   - It never changes, so it may be shared between goroutines, as long as the functions passed to it allow that.
//
// A membership that breaks a rule is refused by [New] and [Validate], with every fault in it at once, each a [ConfigError].
//
// Sources: D. K. Gifford, "Weighted Voting for Replicated Data", SOSP 1979 (weights); A. Kumar, "Hierarchical Quorum
// Consensus", IEEE Transactions on Computers 40(9), 1991, and the ZooKeeper administrator's guide (groups); D. Ongaro,
// "Consensus: Bridging Theory and Practice", 2014, section 4.3 (joint). The drawing of [Describe] follows the quorum
// package of etcd's raft.
package quorum
