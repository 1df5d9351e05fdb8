"""All benchmarks one after another, with their defaults: `python -m benchmarks`."""

from benchmarks import attempts, beside, cycles, growth, listing, watched

if __name__ == "__main__":
    for benchmark in (cycles, growth, listing, attempts, beside, watched):
        print(f"\n## {benchmark.__name__}\n")
        benchmark.main()
