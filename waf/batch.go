package waf

type guards uint64
type batches struct{}
type batchRun struct{}

func (b *batchRun) reset()                   {}
func (tx *Transaction) startBatch(n int)     {}
func (tx *Transaction) candidate(*rule) bool { return true }
func (e *Engine) prepareBatches()            {}
func (e *Engine) warm()                      {}
