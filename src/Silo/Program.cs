using Phi3VCluster.Silo;

return await SiloCommandLine.RunAsync(args);
