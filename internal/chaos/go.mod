module github.com/ensemble-go/ensemble/internal/chaos

go 1.26

replace github.com/ensemble-go/ensemble => ../../

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/ensemble-go/ensemble v0.0.0-00010101000000-000000000000
)

require github.com/hashicorp/go-msgpack/v2 v2.1.5 // indirect
