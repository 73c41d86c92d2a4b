package lua

import "errors"

type instruction uint32
type random struct{}

func compile(source, name string) (*proto, error)                      { return nil, errors.New("not yet") }
func (t *Thread) execute(calls int)                                    {}
func (t *Thread) calledAs() (name, kind string)                        { return "", "" }
func (t *Thread) registerName(level, register int) (name, kind string) { return "", "" }
func (s *State) openBase()                                             {}
func (s *State) openCoroutine()                                        {}
func (s *State) openTable()                                            {}
func (s *State) openString()                                           {}
func (s *State) openMath()                                             {}
