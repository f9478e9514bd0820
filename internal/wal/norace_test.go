//go:build !race

package wal

const slow = false
