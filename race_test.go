//go:build race

package ensemble_test

// raced: everything takes many times as long.
const raced = true
