package session

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Key is the secret of an ensemble from which the passwords of its sessions are made. It is drawn once, is part of the replicated state, and so
// of every log and snapshot: who can read those can make every password. The zero value is no key.
type Key [32]byte

// PasswordBytes is the length of a password.
const PasswordBytes = 16

// Password returns what whoever resumes session id has to know. Every member computes the same.
func (k *Key) Password(id uint64) []byte {
	h := hmac.New(sha256.New, k[:])
	for shift := 56; shift >= 0; shift -= 8 {
		h.Write([]byte{byte(id >> shift)})
	}
	return h.Sum(nil)[:PasswordBytes]
}

// Opens reports whether password is that of session id. How long it takes does not tell how much of it is right. Without a key nothing is.
func (k *Key) Opens(id uint64, password []byte) bool {
	return *k != Key{} && hmac.Equal(k.Password(id), password)
}
