using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>One job: a thread that lives as long as it. All its tensor work happens there.</summary>
internal sealed class ModelJobWorker
{
    private readonly ModelJob _job;
    private readonly CancellationTokenSource _stop = new(); // has no timer and no handle: nothing to dispose
    private readonly Thread _thread;
    private volatile JobProgress _progress;

    public ModelJobWorker(ModelJob job)
    {
        _job = job;
        _progress = new(JobState.Running, job is AskJob ? "loading the model" : "starting");
        _thread = new Thread(Main) { Name = "model-job", IsBackground = true };
    }

    public JobProgress Progress => _progress;

    public void Begin() => _thread.Start();

    public void Cancel() => _stop.Cancel();

    public void Join(TimeSpan timeout) => _thread.Join(timeout);

    private void Main()
    {
        try
        {
            var result = Run();
            _progress = _progress with { State = JobState.Done, ResultJson = result };
        }
        catch (InputException error)
        {
            _progress = _progress with { State = JobState.Refused, Problems = error.Problems };
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            _progress = _progress with { State = JobState.Cancelled };
        }
        // The top frame of the job's thread: whatever went wrong is what the CLI is told.
        catch (Exception error)
        {
            _progress = _progress with { State = JobState.Failed, Error = RankWorker.Explain(error) };
        }
    }

    /// <returns>The result's JSON.</returns>
    private string Run()
    {
        var job = TrainedFolders.Resolve(_job);
        var problems = (string[])[.. ModelJobValidation.Problems(job), .. ModelJobValidation.FileProblems(job)];
        if (problems.Length > 0) throw new InputException(problems);
        LibTorch.Load();
        Activity.Watch(part =>
        {
            if (part.Unit == BaseCheckpoint.Unit)
                Publish(_progress.Phase, (int)(100 * part.Done / Math.Max(1, part.Total)), 100); // percent
        });
        set_num_threads(Environment.ProcessorCount); // libtorch keeps this per thread
        return job switch
        {
            GenerateJob generate => ModelJobJson.ToText(GenerateRunner.Run(generate, Publish, _stop.Token)),
            ExportJob export => ModelJobJson.ToText(ExportRunner.Run(export, Publish, _stop.Token)),
            MergeJob merge => ModelJobJson.ToText(MergeRunner.Run(merge, Publish, _stop.Token)),
            InspectJob inspect => ModelJobJson.ToText(InspectRunner.Run(inspect, Publish, _stop.Token)),
            BenchJob bench => ModelJobJson.ToText(SpeedTableRunner.Run(bench, Publish, _stop.Token)),
            MeasureJob measure => ModelJobJson.ToText(MeasureRunner.Run(measure, Publish, _stop.Token)),
            EvaluateJob evaluate => ModelJobJson.ToText(EvaluateRunner.Run(evaluate, Publish, _stop.Token)),
            _ => throw new UnreachableException(),
        };
    }

    private void Publish(string phase, int done, int total) => _progress = _progress with { Phase = phase, Done = done, Total = total };
}
