module verilayer.dev/tests/tarview

go 1.26.6
