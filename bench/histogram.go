package bench

import (
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// decodeHistogram reads HdrHistogram's compressed V2 encoding in base64. It refuses
// a histogram of another range or precision, whose memory might be any and whose
// percentiles are not as exact, before it makes room for it: one that it takes is
// 200 kB long when it is unpacked, at most.
func decodeHistogram(encoded string) (*hdrhistogram.Histogram, error) {
	// The compressed header: a cookie and a length of 4 bytes each come before.
	compressed := base64.NewDecoder(base64.StdEncoding, strings.NewReader(encoded))
	if _, err := io.CopyN(io.Discard, compressed, 8); err != nil {
		return nil, fmt.Errorf("expected a header: %w", err)
	}
	z, err := zlib.NewReader(compressed)
	if err != nil {
		return nil, err
	}
	defer z.Close() // of what was read no error is left
	var header struct {
		Cookie, Length, Offset, Digits int32
		Least, Greatest                int64
		Ratio                          float64
	}
	if err := binary.Read(z, binary.BigEndian, &header); err != nil {
		return nil, fmt.Errorf("expected a header: %w", err)
	}
	if header.Digits != 3 || header.Least != 1 || header.Greatest != int64(time.Hour) {
		return nil, fmt.Errorf("expected 3 digits from 1 to %d, got %d from %d to %d",
			int64(time.Hour), header.Digits, header.Least, header.Greatest)
	}
	return hdrhistogram.Decode([]byte(encoded))
}
