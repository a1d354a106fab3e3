// Tarview prints what the container runtime reads in tar archives: Go's archive/tar with the rules by
// which containerd's unpack (pkg/archive of release 2.4, overlay snapshots) takes each entry.
//
// Standard input holds archives, each behind its length as eight big-endian bytes. Standard output
// has one line of JSON for each. Rules that need the tree so far (parents, replacing, links) are the
// caller's; those that an entry's header decides alone are here.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	whiteout     = ".wh."
	opaqueMarker = ".wh..wh..opq"
	xattrRecord  = "SCHILY.xattr."
)

// Content beyond this is not read: a few bytes of an archive may claim terabytes of zeros.
const contentLimit = 64 << 20

// What containerd does with an entry.
const (
	doNothing  = "nothing"  // its path is the root itself
	doWhiteout = "whiteout" // a 0:0 character device is made
	doOpaque   = "opaque"   // its directory becomes opaque
	doClear    = "clear"    // what has its name is removed, nothing is made
	doMake     = "make"
)

// entry is one header as the runtime takes it. Strings hold bytes, one code point each.
type entry struct {
	Action   string            `json:"action"`
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Mode     uint32            `json:"mode"`
	Uid      int               `json:"uid"`
	Gid      int               `json:"gid"`
	Size     int64             `json:"size"`
	Mtime    [2]int64          `json:"mtime"`
	Link     string            `json:"link"`
	Device   [2]int64          `json:"device"`
	Xattrs   map[string]string `json:"xattrs"`
	Sha256   string            `json:"sha256"`
	Position int64             `json:"position"`
}

// view is one archive: its entries up to its end, or up to the error that stops the runtime.
type view struct {
	Entries []entry `json:"entries"`
	Error   string  `json:"error"`
	// Bytes read when reading ended.
	Position int64 `json:"position"`
}

// counter is a plain stream, as the runtime has it: it cannot seek.
type counter struct {
	source io.Reader
	count  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	c.count += int64(n)
	return n, err
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("tarview: ")
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println(runtime.Version())
		return
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		var length uint64
		if err := binary.Read(in, binary.BigEndian, &length); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		archive := make([]byte, length)
		if _, err := io.ReadFull(in, archive); err != nil {
			log.Fatal(err)
		}
		if err := encoder.Encode(read(archive)); err != nil {
			log.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

// read goes through an archive until it ends or the runtime would refuse it.
func read(archive []byte) view {
	stream := &counter{source: bytes.NewReader(archive)}
	result := view{Entries: []entry{}}
	reader := tar.NewReader(stream)
	for {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			var e entry
			e, err = take(header, reader)
			e.Position = stream.count
			if err == nil {
				result.Entries = append(result.Entries, e)
				continue
			}
		}
		result.Error = err.Error()
		break
	}
	result.Position = stream.count
	return result
}

// take states what the runtime makes of a header. The error is one that it stops with.
func take(header *tar.Header, content io.Reader) (entry, error) {
	name := filepath.Clean(header.Name)
	mode := header.FileInfo().Mode()
	e := entry{
		Action: doMake,
		Name:   latin1(name),
		Type:   string(rune(header.Typeflag)),
		Mode:   permissions(mode),
		Uid:    header.Uid,
		Gid:    header.Gid,
		Size:   header.Size,
		Mtime:  bounded(header.ModTime),
		Link:   latin1(header.Linkname),
		Device: [2]int64{header.Devmajor, header.Devminor},
		Xattrs: map[string]string{},
	}
	base := filepath.Base(name)
	switch {
	case filepath.Join("/", name) == "/":
		e.Action = doNothing
		return e, nil
	case base == opaqueMarker:
		e.Action = doOpaque
		return e, nil
	case strings.HasPrefix(base, whiteout):
		e.Action = doWhiteout
		if hidden := base[len(whiteout):]; hidden == "" || hidden == "." || hidden == ".." {
			return e, fmt.Errorf("invalid whiteout name %q", base)
		}
		return e, nil
	}
	switch header.Typeflag {
	case tar.TypeXGlobalHeader:
		e.Action = doClear
		return e, nil
	case tar.TypeReg:
		if header.Size > contentLimit {
			break
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, content); err != nil {
			return e, err
		}
		e.Sha256 = hex.EncodeToString(sum.Sum(nil))
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		for _, number := range e.Device {
			if number < 0 || number > math.MaxUint32 {
				return e, fmt.Errorf("device number %d out of range", number)
			}
		}
	case tar.TypeLink, tar.TypeSymlink, tar.TypeDir:
	default:
		return e, fmt.Errorf("unhandled tar header type %d", header.Typeflag)
	}
	for key, value := range header.PAXRecords {
		// What is for the administrator alone is never set, whatever the archive says.
		if xattr, ok := strings.CutPrefix(key, xattrRecord); ok && !strings.HasPrefix(xattr, "trusted.") {
			e.Xattrs[latin1(xattr)] = latin1(value)
		}
	}
	return e, nil
}

// permissions are the twelve bits that chmod(2) gets for a Go file mode.
func permissions(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if mode&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

// bounded is a time as seconds and nanoseconds; what nanoseconds since 1970 do not reach in 63 bits
// becomes 1970.
func bounded(t time.Time) [2]int64 {
	if t.Before(time.Unix(0, 0)) || t.After(time.Unix(0, math.MaxInt64)) {
		return [2]int64{0, 0}
	}
	return [2]int64{t.Unix(), int64(t.Nanosecond())}
}

// latin1 turns bytes into as many code points, which JSON carries unharmed.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := 0; i < len(s); i++ {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
