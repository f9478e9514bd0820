//go:build !race

package snapshot

const slow = false
