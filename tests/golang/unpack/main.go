// Unpack applies tar archives with containerd's own code, as its overlay snapshotter has it done.
//
// Standard input holds archives, each behind its length as eight big-endian bytes. The first is
// unpacked into DIRECTORY/0, the next into DIRECTORY/1, and so on; standard output has a line for
// each, with a JSON string: the error, or nothing.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	stdlog "log"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/log"
)

func main() {
	if err := log.SetLevel("panic"); err != nil {
		stdlog.Fatal(err)
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	encoder := json.NewEncoder(os.Stdout)
	for number := 0; ; number++ {
		var length uint64
		if err := binary.Read(in, binary.BigEndian, &length); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			stdlog.Fatal(err)
		}
		root := filepath.Join(os.Args[1], strconv.Itoa(number))
		if err := os.Mkdir(root, 0o755); err != nil {
			stdlog.Fatal(err)
		}
		failure := ""
		archived := make([]byte, length)
		if _, err := io.ReadFull(in, archived); err != nil {
			stdlog.Fatal(err)
		}
		if err := apply(root, archived); err != nil {
			failure = err.Error()
		}
		if err := encoder.Encode(failure); err != nil {
			stdlog.Fatal(err)
		}
	}
}

func apply(root string, archived []byte) error {
	// Only a reader: the runtime's stream is decompressed and cannot seek.
	stream := struct{ io.Reader }{bytes.NewReader(archived)}
	whiteouts := archive.WithConvertWhiteout(archive.OverlayConvertWhiteout)
	_, err := archive.Apply(context.Background(), root, stream, whiteouts)
	return err
}
