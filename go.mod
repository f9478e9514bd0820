module github.com/ensemble-go/ensemble

go 1.26

require github.com/hashicorp/go-msgpack/v2 v2.1.5
