using System.Runtime.ExceptionServices;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Reads rows once each, on all cores, about in their order. The threads are its own: those of the pool have a node's grains to serve.
/// A parquet row group is decoded for that, which the first epoch then need not do.
/// </summary>
internal sealed class RowScan
{
    private readonly IDatasetReader _reader;
    private readonly int _first, _end, _mostExplained;
    private readonly Func<Sample, IReadOnlyList<string>> _problems;
    private readonly Action<int> _progress;
    private readonly CancellationToken _stop;
    private readonly Lock _gate = new();
    private readonly List<int> _bad = [];
    private readonly string[] _ids;
    private readonly PriorityQueue<BadRow, int> _explained = new(); // the last row is the first to be dropped
    private readonly RowRemarks _remarks = new();
    private int _next, _done;
    private ExceptionDispatchInfo? _fault;

    private RowScan(IDatasetReader reader, int first, int end, Func<Sample, IReadOnlyList<string>> problems, int mostExplained,
        Action<int> progress, CancellationToken stop) =>
        (_reader, _first, _end, _problems, _mostExplained, _progress, _stop, _next, _ids) =
            (reader, first, end, problems, mostExplained, progress, stop, first, new string[Math.Max(0, end - first)]);

    /// <param name="problems">What else is wrong with a sample that could be read; called from several threads.</param>
    /// <param name="mostExplained">Of how many bad rows, the first, the reasons are kept.</param>
    /// <param name="progress">Rows done; called from several threads.</param>
    /// <exception cref="Spec.InputException">A file is damaged or changing.</exception>
    public static BadRows Run(IDatasetReader reader, int first, int end, Func<Sample, IReadOnlyList<string>> problems, int mostExplained,
        Action<int> progress, CancellationToken stop) => new RowScan(reader, first, end, problems, mostExplained, progress, stop).Run();

    private BadRows Run()
    {
        var others = new Thread[Math.Clamp(_end - _first - 1, 0, Environment.ProcessorCount - 1)];
        for (var i = 0; i < others.Length; i++) (others[i] = new Thread(Work) { IsBackground = true, Name = $"row-scan {i}" }).Start();
        Work();
        foreach (var thread in others) thread.Join();
        _stop.ThrowIfCancellationRequested();
        _fault?.Throw();
        _bad.Sort();
        BadRow[] explained = [.. _explained.UnorderedItems.Select(item => item.Element).OrderBy(row => row.Index)];
        return new(_end - _first, _bad, explained, _remarks) { Ids = _ids };
    }

    private void Work()
    {
        try
        {
            while (_fault is null && !_stop.IsCancellationRequested && Interlocked.Increment(ref _next) - 1 is var row && row < _end)
            {
                if (ProblemsOf(row) is { Count: > 0 } problems) Add(new(row, problems));
                _progress(Interlocked.Increment(ref _done));
            }
        }
        catch (Exception error) // a thread's top frame: whoever asked for the scan is told
        {
            Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(error), null);
        }
    }

    private IReadOnlyList<string> ProblemsOf(int row)
    {
        _ids[row - _first] = "";
        try
        {
            var sample = _reader.Read(row);
            _ids[row - _first] = sample.Id;
            var problems = _problems(sample);
            if (problems.Count == 0)
            {
                _remarks.Add(sample);
                return problems;
            }
            var where = $"{_reader.Place(row)}: ";
            return [.. problems.Select(problem => problem.StartsWith(where, StringComparison.Ordinal) ? problem : where + problem)];
        }
        catch (BadRowException bad)
        {
            return bad.Problems;
        }
    }

    private void Add(BadRow row)
    {
        lock (_gate)
        {
            _bad.Add(row.Index);
            if (_explained.Count < _mostExplained) _explained.Enqueue(row, -row.Index);
            else _explained.EnqueueDequeue(row, -row.Index);
        }
    }
}
