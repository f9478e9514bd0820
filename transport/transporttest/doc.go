// Package transporttest holds the suite that every transport.Transport must pass.
//
// A transport's own test calls [Run] with a function that makes a network of endpoints, not yet started. The suite asks for nothing but what the
// interface promises: a frame that does not arrive is sent again, and frames may come twice and in any order. But they
// must arrive in the end, whole, in their class, from the member that has sent them, and never after Close.
//
// [Tests] gives the same tests one by one, to be run in a bubble of testing/synctest for instance, where t.Run is not
// allowed.
package transporttest
