package zset

// sortFirst sorts elements so far that the first n, of which there must be one, are in order. It is
// the quicksort of Bentley and McIlroy, "Engineering a sort function", which leaves out the parts
// that are not asked for; in this form, as it is not stable, and equal elements are to come in the
// order in which Redis has them.
func sortFirst[T any](s []T, n int, compare func(x, y *T) int) {
	const few, some = 7, 40
	order := func(i, j int) int { return compare(&s[i], &s[j]) }
	swap := func(i, j int) { s[i], s[j] = s[j], s[i] }
	if len(s) < few {
		for i := 1; i < len(s); i++ {
			for j := i; j > 0 && order(j-1, j) > 0; j-- {
				swap(j, j-1)
			}
		}
		return
	}
	median := func(i, j, k int) int {
		if order(i, j) < 0 {
			switch {
			case order(j, k) < 0:
				return j
			case order(i, k) < 0:
				return k
			}
			return i
		}
		switch {
		case order(j, k) > 0:
			return j
		case order(i, k) < 0:
			return i
		}
		return k
	}
	middle := len(s) / 2
	if len(s) > few {
		low, high := 0, len(s)-1
		if len(s) > some {
			d := len(s) / 8
			low, middle, high = median(low, low+d, low+2*d), median(middle-d, middle, middle+d), median(high-2*d, high-d, high)
		}
		middle = median(low, middle, high)
	}
	swap(0, middle)

	// What equals the first element is gathered at both ends.
	equalLow, low, high, equalHigh := 1, 1, len(s)-1, len(s)-1
	for {
		for ; low <= high; low++ {
			c := order(low, 0)
			if c > 0 {
				break
			}
			if c == 0 {
				swap(equalLow, low)
				equalLow++
			}
		}
		for ; low <= high; high-- {
			c := order(high, 0)
			if c < 0 {
				break
			}
			if c == 0 {
				swap(high, equalHigh)
				equalHigh--
			}
		}
		if low > high {
			break
		}
		swap(low, high)
		low++
		high--
	}
	exchange := func(i, j, n int) {
		for k := range n {
			swap(i+k, j+k)
		}
	}
	less, greater := low-equalLow, equalHigh-high
	near := min(equalLow, less)
	exchange(0, low-near, near)
	far := min(greater, len(s)-1-equalHigh)
	exchange(low, len(s)-far, far)
	if less > 1 {
		sortFirst(s[:less], n, compare)
	}
	if from := len(s) - greater; greater > 1 && n > from {
		sortFirst(s[from:], n-from, compare)
	}
}
