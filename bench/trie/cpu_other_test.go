//go:build !unix

package trie

func cpuTime() int64 { return 0 }
