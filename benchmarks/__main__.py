"""All benchmarks one after another, with their defaults: `python -m benchmarks`."""

from benchmarks import attempts, cycles, growth, listing

if __name__ == "__main__":
    for benchmark in (cycles, growth, listing, attempts):
        print(f"\n## {benchmark.__name__}\n")
        benchmark.main()
