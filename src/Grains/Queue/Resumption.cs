using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Queue;

/// <summary>Whether there is something to go on with.</summary>
internal static class Resumption
{
    /// <summary>
    /// A run that is done has more to do if its spec asks for more epochs, or its end was set by a number of steps that has grown.
    /// </summary>
    public static bool HasMoreToDo(RunStatus done, RunSpec spec) => spec.Epochs > done.Epochs
        || (done.Epoch < done.Epochs && (spec.MaxSteps is null || spec.MaxSteps > done.Step));
}
