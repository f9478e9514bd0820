// Package election is fast leader election: members tell each other whom they would follow until a quorum says the same.
// It is a value: no clock, no goroutine, no I/O. The host steps a [Machine] with what happened and carries out the [Output].
//
//   - A vote is (epoch, zxid, id), compared as one tuple, so it is a total order and the greatest candidate is one.
//   - A member votes for the greatest candidate it has a link to and has heard standing for itself in this round, itself
//     included. Nobody is voted for on hearsay: a candidate that a voter cannot reach would lead it nowhere, and one that died
//     is forgotten with its link instead of being kept alive by the votes of others.
//   - Elected is who has the votes of a quorum: at once if every linked voter agrees, else when no greater vote came for
//     FinalizeWait ticks. Or who leads already, see below. Nobody is ever elected who cannot lead by the [quorum.Verifier].
//   - Only voters are counted. A member that does not vote (blank, or an observer) asks: it is answered, never counted, and
//     elects nobody who does not lead already.
//   - Votes go with the link they came on. The host reports Linked before the first notification of a link, and Lost; what
//     comes from a member without a link is ignored. Notifications may be lost, doubled and reordered.
//   - A member that is not looking answers each that is with the leader it has. Only the leader's own word, on a present link,
//     proves that it leads. If its epoch is established its word is enough, without a quorum of others saying so: election is
//     a hint, all safety is in discovery and synchronisation, and a leader that has lost its quorum takes nobody far. If
//     the epoch is not established yet, a quorum must stand behind it, in which a looking member counts itself unless its own
//     vote is greater.
//     The word of who has said nothing for 2 ResendMax ticks counts no more until it speaks: the host may not know that a link is dead.
//   - At most one notification per peer leaves for each input. Resends back off with jitter up to ResendMax ticks, and begin
//     anew with any news.
//
// The host calls Look to seek a leader; when Output.Elected is set it takes the role, calls Settle, again when the epoch is
// established or renewed, and, when the role is lost, Withdraw at once and Look as soon as it may vote, after Failed if following
// did not work. Until the first Look, and from Withdraw to the next, the machine is silent.
//
// A limit: if no candidate is linked to a quorum whose members can all reach it, nobody is elected until links change. And a
// member whose Verifier does not know the leader, because it slept through a change of membership, cannot find it here.
//
// Sources: B. Reed and F. Junqueira, "A simple totally ordered broadcast protocol", LADIS 2008; A. Medeiros, "ZooKeeper's
// atomic broadcast protocol: Theory and practice", 2012, section 4.1 (fast leader election); and the ZooKeeper issues 261, 480,
// 491, 569, 764, 1419, 1514 and 3109, whose rules these are.
package election
