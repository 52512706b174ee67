using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Tests.Backends.Cpu.Kernels;

/// <summary>Every index once, on valid workers, whatever the pool's state.</summary>
public sealed class WorkerPoolTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    public void Visits_every_index_once(int threads)
    {
        using var pool = new WorkerPool(threads);
        foreach (var count in new[] { 0, 1, 2, 3, 7, 64, 1000, 100_003 })
        {
            var visits = new int[count];
            var badWorkers = 0;
            pool.For(count, (index, worker) =>
            {
                Interlocked.Increment(ref visits[index]);
                if (worker < 0 || worker >= threads)
                    Interlocked.Increment(ref badWorkers);
            });
            Assert.All(visits, visit => Assert.Equal(1, visit));
            Assert.Equal(0, badWorkers);
        }
    }

    [Fact]
    public void Threads_that_are_left_to_others_do_no_work()
    {
        using var pool = new WorkerPool(4);
        foreach (var (wanted, used) in new[] { (2, 2), (1, 1), (9, 4), (0, 1), (3, 3) })
        {
            pool.Use(wanted);
            Assert.Equal(used, pool.Threads);
            var (highest, sum) = (0, 0L);
            for (var loop = 0; loop < 300; loop++)
                pool.For(50, (index, worker) =>
                {
                    Interlocked.Add(ref sum, index);
                    if (worker > Volatile.Read(ref highest))
                        Volatile.Write(ref highest, worker);
                });
            Assert.Equal(300L * 49 * 25, sum);
            Assert.InRange(highest, 0, used - 1);
        }
    }

    [Fact]
    public void Survives_many_short_loops_with_pauses()
    {
        using var pool = new WorkerPool(4);
        long total = 0;
        for (var loop = 0; loop < 3000; loop++)
        {
            pool.For(5, (index, _) => Interlocked.Add(ref total, index));
            if (loop % 500 == 0)
                Thread.Sleep(3);
        }

        Assert.Equal(3000 * 10, total);
    }

    [Fact]
    public void A_worker_runs_one_body_at_a_time()
    {
        using var pool = new WorkerPool(3);
        var inside = new int[3 * 16];
        var clashes = 0;
        pool.For(20_000, (_, worker) =>
        {
            if (Interlocked.Increment(ref inside[worker * 16]) != 1)
                Interlocked.Increment(ref clashes);
            Interlocked.Decrement(ref inside[worker * 16]);
        });
        Assert.Equal(0, clashes);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void An_exception_reaches_the_caller_and_the_pool_goes_on(int threads)
    {
        using var pool = new WorkerPool(threads);
        var thrown = Assert.Throws<FormatException>(() => pool.For(1000, (index, _) =>
        {
            if (index == 17)
                throw new FormatException("seventeen");
        }));
        Assert.Equal("seventeen", thrown.Message);
        var count = 0;
        pool.For(10, (_, _) => Interlocked.Increment(ref count));
        Assert.Equal(10, count);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Loops_do_not_nest(int threads)
    {
        using var pool = new WorkerPool(threads);
        Assert.Throws<InvalidOperationException>(() => pool.For(4, (_, _) => pool.For(2, (_, _) => { })));
        var count = 0;
        pool.For(3, (_, _) => Interlocked.Increment(ref count));
        Assert.Equal(3, count);
    }

    [Fact]
    public void Refuses_bad_sizes_and_use_after_disposal()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new WorkerPool(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new WorkerPool(5000));
        var pool = new WorkerPool(2);
        pool.Dispose();
        pool.Dispose();
        Assert.Throws<ObjectDisposedException>(() => pool.For(2, (_, _) => { }));
    }

    [Fact]
    public unsafe void Scratch_is_aligned_and_private()
    {
        using var pool = new WorkerPool(2);
        var first = pool.Scratch(0, 100);
        var second = pool.Scratch(1, 100);
        Assert.Equal(0, (nint)first % 64);
        Assert.Equal(0, (nint)second % 64);
        Assert.True(Math.Abs(first - second) >= 100);
        Assert.True(first == pool.Scratch(0, 50));
    }
}
