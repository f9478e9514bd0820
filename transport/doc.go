// Package transport is the seam between an ensemble and the network: it moves opaque frames between members that are named
// by id.
//
// A host gives each node a [Transport]. [NewMemory] is one that lives in the program itself, with cuts, delays and losses
// to be set at will, for tests and for ensembles inside one process; the package transport/tcp is for real networks.
// A host can write its own: the package transport/transporttest holds the suite that it must pass.
//
// # What is asked of a transport
//
// The one safety duty is that the sender named to [Handler.Receive] is authentic. A transport may lose, repeat, reorder and
// delay frames, and keep old ones for as long as it likes: the links above it notice each of these and turn what arrives
// into streams that are in order or reset. A false sender they cannot notice.
//
// All the rest is a matter of speed. A frame that is lost costs one resynchronisation of the link between the two members,
// so a transport should hold 16 MiB per peer before it drops ([QueueBytes]), should keep the order of the frames of one class to one
// peer, and should not let one class wait for another.
package transport
